// The service's own limits. Needs a server that no other test uses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from '../support/errors.mjs';
import { ECHO, deploy } from '../support/functions.mjs';
import { exh } from '../support/service.mjs';
import { ACTOR, openStage } from '../support/stage.mjs';
import { finished } from '../support/wait.mjs';

/** The server's limit of queued Tasks, which is also that of direct executions. */
const TASKS_AT_ONCE = Number(process.env.TASKLANE_TEST_CONCURRENCY);

test('at the limit of Tasks, the next one waits, and a direct execution still runs', async t => {
  const stage = await openStage(t);
  const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
  const other = await deploy(t, ECHO);
  const create = () => exh.tasks.create({ functionName });
  const tasks = await Promise.all(Array.from({ length: TASKS_AT_ONCE + 2 }, create));
  await stage.run(TASKS_AT_ONCE);

  await exh.tasks.functions.execute(other);
  const statuses = await Promise.all(tasks.map(async ({ id }) => (await exh.tasks.findById(id)).status));
  assert.equal(statuses.filter(status => status === 'inProgress').length, TASKS_AT_ONCE);
  assert.equal(statuses.filter(status => status === 'new').length, 2);

  for (let nth = 1; nth <= tasks.length; nth += 1) {
    (await stage.run(nth)).release();
  }
  for (const { id } of tasks) {
    assert.equal((await finished(id)).status, 'complete');
  }
  assert.equal(stage.runs.length, tasks.length);
});

test('at the limit of direct executions, the next one is 1403, and a Task still runs', async t => {
  const stage = await openStage(t);
  const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables, timeLimit: 30 });
  const other = await deploy(t, ECHO);
  const running = Array.from({ length: TASKS_AT_ONCE }, () => exh.tasks.functions.execute(functionName));
  await stage.run(TASKS_AT_ONCE);

  await refused(1403, () => exh.tasks.functions.execute(other));
  const { id } = await exh.tasks.create({ functionName: other });
  assert.equal((await finished(id)).status, 'complete');

  stage.runs.forEach(run => run.release());
  await Promise.all(running);
  await exh.tasks.functions.execute(other);
});

test('at the limit of API Functions, the next one is 1412', async t => {
  const stage = await openStage(t);
  const name = await deploy(t, `
    exports.handler = async event => {
      await fetch(process.env.STAGE, { method: 'POST', body: JSON.stringify(event) });
      return { statusCode: 200, body: 'ran' };
    };`, { environmentVariables: stage.environmentVariables, timeLimit: 30 });
  const calls = [];
  let refusal;
  // One more at a time until one is refused, because only the server knows its limit.
  while (!refusal && calls.length < 100) {
    const call = exh.tasks.api.get(name, `/${calls.length}`);
    calls.push(call);
    const outcome = await Promise.race([
      stage.run(calls.length).then(() => 'runs'),
      call.then(() => assert.fail('it ended by itself'), error => error),
    ]);
    refusal = outcome === 'runs' ? undefined : outcome;
  }
  await refused(1412, async () => { throw refusal; });
  const running = calls.slice(0, -1);
  assert.ok(running.length > 1);
  stage.runs.forEach(run => run.release());
  assert.deepEqual([...new Set(await Promise.all(running))], ['ran']);
  const again = exh.tasks.api.get(name, '/again');
  (await stage.run(running.length + 1)).release();
  assert.equal(await again, 'ran');
});
