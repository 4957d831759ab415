// exh.tasks.logs.*: find, findFirst; and the deprecated logs of a Function.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, refusedRaw } from './support/errors.mjs';
import { deploy } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, exh, logins, request } from './support/service.mjs';
import { openStage } from './support/stage.mjs';
import { finished, logged, until } from './support/wait.mjs';

const { rqlBuilder } = sdk;

const TALKER = `
exports.handler = async event => {
  console.log('first line of', event.id);
  console.error('an “error” 🚀');
  await new Promise(resolve => setTimeout(resolve, 50));
  console.log('last line');
};`;

const has = (lines, text) => lines.some(({ message }) => message.includes(text));

for (const [kind, login] of Object.entries(logins)) {
  describe(`logs, logged in with ${kind}`, () => {
    const { tasks } = login(administrator);

    test('a Task has only the lines of its own run, in order', async t => {
      const functionName = await deploy(t, TALKER);
      const [one, other] = await Promise.all([tasks.create({ functionName }), tasks.create({ functionName })]);
      await Promise.all([finished(one.id), finished(other.id)]);
      const lines = await until('the last line is there', async () => {
        const found = await logged(() => tasks.logs.find(one.id));
        return has(found, 'last line') && has(found, 'REPORT') && found;
      });
      assert.ok(has(lines, `first line of ${one.id}`) && has(lines, 'an “error” 🚀'));
      assert.ok(!has(lines, other.id));
      assert.match(lines[0].message, /START RequestId: /);
      const order = ['START', 'first line', 'an “error”', 'last line', 'END', 'REPORT'];
      const places = order.map(text => lines.findIndex(({ message }) => message.includes(text)));
      assert.deepEqual(places, [...places].sort((a, b) => a - b));
      lines.forEach(({ timestamp }) => assert.ok(timestamp instanceof Date && !Number.isNaN(timestamp.getTime())));
      assert.deepEqual(await tasks.logs.findFirst(one.id), lines[0]);
    });

    test('ge on timestamp excludes older lines', async t => {
      const functionName = await deploy(t, TALKER);
      const task = await tasks.create({ functionName });
      await finished(task.id);
      const lines = await until('all lines are there', async () => {
        const found = await logged(() => tasks.logs.find(task.id));
        return has(found, 'REPORT') && found;
      });
      const last = lines.find(({ message }) => message.includes('last line'));
      const rql = rqlBuilder().ge('timestamp', last.timestamp.toISOString()).build();
      const later = await tasks.logs.find(task.id, { rql });
      // On a busy machine lines may be read together, and then have the same time.
      assert.deepEqual(later, lines.filter(({ timestamp }) => timestamp >= last.timestamp));
      assert.ok(has(later, 'last line'));
      const limited = await tasks.logs.find(task.id, { rql: rqlBuilder().limit(2, 1).build() });
      assert.deepEqual(limited, lines.slice(1, 3));
    });
  });
}

describe('logs', () => {
  test('can be followed while the Task runs', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, `
      exports.handler = async event => {
        console.log('before the wait');
        await fetch(process.env.STAGE, { method: 'POST', body: JSON.stringify(event) });
      };`, { environmentVariables: stage.environmentVariables });
    const task = await exh.tasks.create({ functionName });
    const run = await stage.run(1);
    assert.ok(has(await logged(() => exh.tasks.logs.find(task.id)), 'before the wait'));
    run.release();
    await finished(task.id);
  });

  test('of a Task that has not run are 27, of an unknown one 16', async t => {
    const functionName = await deploy(t, TALKER);
    const task = await exh.tasks.create({ functionName, startTimestamp: new Date(Date.now() + 3_600_000) });
    await refused(27, () => exh.tasks.logs.find(task.id));
    await exh.tasks.cancel(task.id);
    await refused(27, () => exh.tasks.logs.find(task.id));
    await refused(16, () => exh.tasks.logs.find('0123456789abcdef01234567'));
    await refused(12, () => exh.tasks.logs.find('no-id'));
  });

  test('accept no other RQL', async t => {
    const functionName = await deploy(t, TALKER);
    const { id } = await exh.tasks.functions.execute(functionName);
    for (const rql of ['?eq(message,x)', '?le(timestamp,2026-01-01)', '?sort(timestamp)', '?select(message)', '?eq(a']) {
      await refused(19, () => exh.tasks.logs.find(id, { rql }), rql);
    }
  });

  test('of a Function need bounds on both sides, at most a day apart', async t => {
    const functionName = await deploy(t, TALKER);
    const { id } = await exh.tasks.functions.execute(functionName);
    const path = `/tasks/v1/functions/${functionName}/logs`;
    const ask = rql => request(`${path}${rql}`, { as: administrator });
    const at = hours => new Date(Date.now() + hours * 3_600_000).toISOString();
    await refusedRaw(20, await ask(''));
    await refusedRaw(19, await ask(`?ge(eventTimestamp,${at(-1)})`));
    await refusedRaw(19, await ask(`?ge(eventTimestamp,${at(-24)})&le(eventTimestamp,${at(1)})`));
    const lines = await until('the lines are there', async () => {
      const response = await ask(`?gt(eventTimestamp,${at(-1)})&lt(eventTimestamp,${at(1)})`);
      assert.equal(response.status, 200);
      const found = await response.json();
      return has(found, 'last line') && found;
    });
    assert.ok(has(lines, `first line of ${id}`));
    lines.forEach(line => assert.deepEqual(Object.keys(line).sort(), ['eventTimestamp', 'message']));
  });
});
