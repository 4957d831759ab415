// Waiting for conditions: no test sleeps for a time that should be long enough.
import { setTimeout as pause } from 'node:timers/promises';
import { exh } from './service.mjs';

const FINAL = ['complete', 'failed', 'retried', 'canceled'];

/** Polls until there is a value, and returns it. After `seconds`, throws an error that describes the condition. */
export async function until(what, ask, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${seconds} s in vain until ${what}`);
    }
    await pause(50);
  }
}

/** The Task once it has ended. */
export function finished(taskId, seconds = 60) {
  return until(`task ${taskId} has ended`, async () => {
    const task = await exh.tasks.findById(taskId);
    return FINAL.includes(task.status) && task;
  }, seconds);
}

/** The log lines that `find` returns, once there are any: they may arrive shortly after the run. */
export function logged(find) {
  return until('there are log lines', async () => {
    try {
      return await find();
    } catch (error) {
      if ([1408, 1413].includes(error.response?.code)) {
        return undefined;
      }
      throw error;
    }
  });
}
