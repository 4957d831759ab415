// Creates the jobs of a peer, and prints what it measured as JSON.
//
//   node client.mjs PEER create JOBS   how many are created a second, and how many of them are done a second
//   node client.mjs PEER rest JOBS     one at a time: how long each takes from the call to the handler's first line, in ms
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

import { STARTS, peers } from './peers.mjs';

const [name, what, jobs] = process.argv.slice(2);
const IN_FLIGHT = 16;
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
const { create, left } = await peers[name].creator();

async function createAll(count) {
  let next = 0;
  const one = async () => {
    while (next < count) {
      await create({ id: next++ });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, one));
}

async function untilNoneIsLeft() {
  while ((await left()) > 0) {
    await pause(20);
  }
}

if (what === 'create') {
  // What is compiled and opened on first use is not measured. Without jobs there may be no worker yet.
  await createAll(Number(jobs) > 0 ? 200 : 0);
  await untilNoneIsLeft();
  const began = performance.now();
  await createAll(Number(jobs));
  const created = performance.now();
  await untilNoneIsLeft();
  const ended = performance.now();
  const persecond = until => (Number(jobs) * 1000) / (until - began);
  console.log(JSON.stringify({ created: persecond(created), complete: persecond(ended) }));
} else {
  const waiting = new Map();
  const server = createServer(socket => {
    createInterface({ input: socket }).on('line', line => {
      const [id, at] = line.split(' ');
      waiting.get(id)?.(Number(at));
    });
  });
  await new Promise(resolve => server.listen(STARTS, resolve));
  const waits = [];
  for (let id = 0; id < Number(jobs); id++) {
    const started = new Promise(resolve => waiting.set(String(id), resolve));
    const called = performance.timeOrigin + performance.now();
    await create({ id });
    waits.push((await started) - called);
    // Until everything is at rest again.
    await pause(30);
  }
  // The first ones open connections.
  console.log(JSON.stringify({ waits: waits.slice(10) }));
}
process.exit(0);
