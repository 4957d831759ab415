// exh.tasks.*: create, find, findAll, findAllIterator, findById, findFirst, cancel, and the outcomes of Tasks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from './support/errors.mjs';
import { ECHO, THROW, deploy } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, exh, logins } from './support/service.mjs';
import { ACTOR, openStage } from './support/stage.mjs';
import { finished, logged, until } from './support/wait.mjs';

const { rqlBuilder } = sdk;
const later = () => new Date(Date.now() + 3_600_000);

/** JSON that careless handling would change. */
const AWKWARD = {
  snake_case: { camelCase: 1, startTimestamp: '2026-01-31T08:15:30.123Z', records_affected: 2 },
  text: 'é 🚀 "quoted" \\ \u0000 \u2028 </script>',
  numbers: [0, -1, 1e21, 0.1, 9007199254740991, -1.5e-7],
  nothing: null, truth: true, empty: {}, list: [[], [null]], '': 'no name', 'a.b': 'dotted', $ref: 1,
};

for (const [kind, login] of Object.entries(logins)) {
  describe(`tasks, logged in with ${kind}`, () => {
    const { tasks } = login(administrator);

    test('a Task is created, found and runs', async t => {
      const functionName = await deploy(t, ECHO);
      const before = Date.now();
      const task = await tasks.create({ functionName, data: AWKWARD, tags: ['one', 'two words'], priority: 3 });
      assert.match(task.id, /^[0-9a-f]{24}$/);
      assert.equal(task.functionName, functionName);
      assert.deepEqual(task.data, AWKWARD);
      assert.deepEqual(task.tags, ['one', 'two words']);
      assert.equal(task.priority, 3);
      assert.equal(task.createdByUserId, (await exh.users.me()).id);
      for (const field of ['creationTimestamp', 'updateTimestamp', 'statusChangedTimestamp', 'startTimestamp']) {
        assert.ok(task[field] instanceof Date, field);
        assert.ok(Math.abs(task[field].getTime() - before) < 10_000, `${field} ${task[field]}`);
      }

      const ended = await finished(task.id);
      assert.equal(ended.status, 'complete');
      assert.deepEqual(ended.data, AWKWARD);
      assert.ok(ended.statusChangedTimestamp >= task.statusChangedTimestamp);
      assert.ok(!('error' in ended) && !('result' in ended));

      const rql = rqlBuilder().eq('functionName', functionName).build();
      assert.deepEqual(await tasks.findFirst({ rql }), ended);
      const page = await tasks.find({ rql });
      assert.deepEqual(page.data, [ended]);
      assert.deepEqual(page.page, { total: 1, offset: 0, limit: 20 });
      assert.ok('query' in page);
      assert.equal(await tasks.findById('0123456789abcdef01234567'), undefined);
    });

    test('findAll and its iterator read more than two pages', async t => {
      const functionName = await deploy(t, ECHO);
      const created = [];
      while (created.length < 105) {
        const more = Array.from({ length: 15 }, () => tasks.create({ functionName, startTimestamp: later() }));
        created.push(...(await Promise.all(more)).map(({ id }) => id));
      }
      const rql = rqlBuilder().eq('functionName', functionName).build();
      const all = await tasks.findAll({ rql });
      assert.deepEqual(all.map(({ id }) => id).sort(), created.sort());

      const pages = [];
      for await (const { page, data } of tasks.findAllIterator({ rql })) {
        pages.push([page.offset, page.limit, page.total, data.length]);
      }
      assert.deepEqual(pages, [[0, 50, 105, 50], [50, 50, 105, 50], [100, 50, 105, 5]]);

      await assert.rejects(tasks.findAll({ rql: rqlBuilder(rql).limit(5).build() }), /limit/);
    });

    test('a waiting Task can be canceled once', async t => {
      const functionName = await deploy(t, ECHO);
      const task = await tasks.create({ functionName, startTimestamp: later() });
      assert.deepEqual(await tasks.cancel(task.id), { affectedRecords: 1 });
      assert.equal((await tasks.findById(task.id)).status, 'canceled');
      await refused(27, () => tasks.cancel(task.id));
    });
  });
}

describe('create', () => {
  test('accepts a Task without data, and passes the Task to the Function as its event', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    const task = await exh.tasks.create({ functionName });
    const run = await stage.run(1);
    assert.equal(run.event.id, task.id);
    assert.equal(run.event.functionName, functionName);
    assert.equal(run.event.status, 'inProgress');
    assert.equal(run.event.creationTimestamp, task.creationTimestamp.toISOString());
    assert.deepEqual(run.event.tags, []);
    assert.ok(!('data' in run.event) || run.event.data === null);
    const running = await exh.tasks.findById(task.id);
    assert.equal(running.status, 'inProgress');
    await refused(27, () => exh.tasks.cancel(task.id));
    run.release();
    assert.equal((await finished(task.id)).status, 'complete');
    await refused(27, () => exh.tasks.cancel(task.id));
  });

  test('passes any JSON on as data', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    for (const data of [AWKWARD, [1, [2]], 'text', 0, false]) {
      const task = await exh.tasks.create({ functionName, data });
      const run = await until('it runs', () => stage.runs.find(({ event }) => event.id === task.id));
      assert.deepEqual(run.event.data, data);
      run.release();
      await finished(task.id);
    }
  });

  test('starts the Task at its start time and not before', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    const startTimestamp = new Date(Date.now() + 2000);
    const task = await exh.tasks.create({ functionName, startTimestamp });
    assert.equal(task.startTimestamp.getTime(), startTimestamp.getTime());
    assert.equal(task.status, 'new');
    const run = await stage.run(1, 20);
    assert.ok(run.at >= startTimestamp.getTime(), `it ran ${startTimestamp.getTime() - run.at} ms early`);
    run.release();
    await finished(task.id);
  });

  test('uses the Function’s priority for a Task without one', async t => {
    const functionName = await deploy(t, ECHO, { executionOptions: { defaultPriority: -7 } });
    assert.equal((await exh.tasks.create({ functionName, startTimestamp: later() })).priority, -7);
    assert.equal((await exh.tasks.create({ functionName, startTimestamp: later(), priority: 0 })).priority, 0);
    const highest = Number.MAX_SAFE_INTEGER;
    assert.equal((await exh.tasks.create({ functionName, startTimestamp: later(), priority: highest })).priority, highest);
  });

  test('refuses invalid fields, and names them', async t => {
    const functionName = await deploy(t, ECHO);
    await refused(14, () => exh.tasks.create({ data: {} }));
    for (const [field, value] of [
      ['priority', 1.5], ['priority', '1'], ['priority', 2 ** 53], ['tags', 'one'], ['tags', [1]],
      ['startTimestamp', 'tomorrow'], ['functionName', 5],
    ]) {
      const error = await refused(15, () => exh.tasks.create({ functionName, [field]: value }), `${field} ${value}`);
      assert.match(error.message, new RegExp(field));
    }
    const data = { text: 'x'.repeat(250 * 1024 - 11) };
    assert.equal(JSON.stringify(data).length, 250 * 1024);
    await exh.tasks.create({ functionName, data, startTimestamp: later() });
    await refused(15, () => exh.tasks.create({ functionName, data: { text: `${data.text}x` } }));
  });
});

describe('cancel', () => {
  test('of an unknown Task is 16, of an invalid id 12', async () => {
    await refused(16, () => exh.tasks.cancel('0123456789abcdef01234567'));
    await refused(12, () => exh.tasks.cancel('not-an-id'));
  });

  test('prevents a Task from running', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, {
      environmentVariables: stage.environmentVariables, executionOptions: { concurrencyLimit: 1 },
    });
    const first = await exh.tasks.create({ functionName });
    const run = await stage.run(1);
    const second = await exh.tasks.create({ functionName });
    const third = await exh.tasks.create({ functionName });
    await exh.tasks.cancel(second.id);
    run.release();
    (await stage.run(2)).release();
    await finished(third.id);
    assert.deepEqual(stage.runs.map(({ event }) => event.id), [first.id, third.id]);
  });
});

describe('order', () => {
  test('higher priority first, then the earlier start, then the earlier id; one at a time', async t => {
    const stage = await openStage(t);
    const functionName = await deploy(t, ACTOR, {
      environmentVariables: stage.environmentVariables, executionOptions: { concurrencyLimit: 1 },
    });
    const blocker = await exh.tasks.create({ functionName });
    await stage.run(1);
    const create = (priority, startTimestamp) => exh.tasks.create({ functionName, priority, startTimestamp });
    const ago = seconds => new Date(Date.now() - seconds * 1000);
    const [early, late] = [ago(60), ago(30)];
    const low = await create(-1, early);
    const plainLate = await create(0, late);
    const plainEarly = await create(0, early);
    const plainEarlyToo = await create(0, early);
    const high = await create(5, late);
    const highest = await create(Number.MAX_SAFE_INTEGER, late);
    const expected = [blocker, highest, high, plainEarly, plainEarlyToo, plainLate, low].map(({ id }) => id);
    for (let nth = 1; nth <= expected.length; nth += 1) {
      const run = await stage.run(nth);
      assert.equal(stage.runs.length, nth, 'two ran at once');
      run.release();
    }
    assert.deepEqual(stage.runs.map(({ event }) => event.id), expected);
  });
});

describe('failure', () => {
  const fail = (name, message) => ({ data: { name, message } });

  test('names the error as the code did', async t => {
    const functionName = await deploy(t, THROW);
    const task = await exh.tasks.create({ functionName, ...fail('CONNECTION_ERROR', 'no “route” 🚀') });
    const ended = await finished(task.id);
    assert.equal(ended.status, 'failed');
    assert.deepEqual(ended.error, { type: 'runtime', name: 'CONNECTION_ERROR', message: 'no “route” 🚀' });
    assert.ok((await logged(() => exh.tasks.logs.find(task.id))).some(({ message }) => message.includes('CONNECTION_ERROR')));
  });

  test('a run over its time limit is Sandbox.Timedout', async t => {
    const source = `exports.handler = () => new Promise(resolve => setTimeout(resolve, 600000));`;
    const functionName = await deploy(t, source, { timeLimit: 3 });
    const ended = await finished((await exh.tasks.create({ functionName })).id);
    assert.equal(ended.status, 'failed');
    assert.equal(ended.error.type, 'runtime');
    assert.equal(ended.error.name, 'Sandbox.Timedout');
    assert.match(ended.error.message, /Task timed out after 3\.00 seconds/);
  });

  test('code that cannot be loaded is named as Lambda names it', async t => {
    const cases = [
      [`require('no-such-module');`, 'Runtime.ImportModuleError'],
      [`exports.other = 1;`, 'Runtime.HandlerNotFound'],
      [`exports.handler = async () => {`, 'Runtime.UserCodeSyntaxError'],
      [`exports.handler = async () => process.exit(3);`, 'Runtime.ExitError'],
    ];
    await Promise.all(cases.map(async ([source, name]) => {
      const functionName = await deploy(t, source);
      const ended = await finished((await exh.tasks.create({ functionName })).id);
      assert.equal(ended.status, 'failed', name);
      assert.equal(ended.error.name, name);
    }));
  });

  test('a Task is retried after 2, 5 and 10 seconds, and then failed', async t => {
    const functionName = await deploy(t, THROW, { retryPolicy: { enabled: true, errorsToRetry: ['DATABASE_ERROR'] } });
    const first = await exh.tasks.create({
      functionName, ...fail('DATABASE_ERROR', 'locked'), tags: ['kept'], priority: 4,
    });
    const chain = [];
    for (let id = first.id; id; id = chain.at(-1).retriedByTaskId) {
      chain.push(await finished(id));
    }
    assert.deepEqual(chain.map(({ status }) => status), ['retried', 'retried', 'retried', 'failed']);
    chain.forEach((task, index) => {
      const before = chain.slice(0, index);
      assert.deepEqual(task.retryForTaskIds ?? [], before.map(({ id }) => id));
      assert.deepEqual(task.tags, ['kept']);
      assert.deepEqual(task.data, first.data);
      assert.equal(task.priority, 4);
      assert.equal(task.createdByUserId, first.createdByUserId);
      assert.deepEqual(task.error, { type: 'runtime', name: 'DATABASE_ERROR', message: 'locked' });
      if (index > 0) {
        const delay = task.startTimestamp.getTime() - before.at(-1).statusChangedTimestamp.getTime();
        assert.equal(delay, [2000, 5000, 10000][index - 1]);
        assert.ok(task.statusChangedTimestamp >= task.startTimestamp);
      }
    });
    assert.equal((await exh.tasks.findAll({ rql: rqlBuilder().eq('functionName', functionName).build() })).length, 4);
  });

  test('an error that is not on the list is not retried, and an empty list means every error', async t => {
    const listed = await deploy(t, THROW, { retryPolicy: { enabled: true, errorsToRetry: ['DATABASE_ERROR'] } });
    const other = await finished((await exh.tasks.create({ functionName: listed, ...fail('OTHER', 'x') })).id);
    assert.equal(other.status, 'failed');
    assert.ok(!('retriedByTaskId' in other));

    const all = await deploy(t, THROW, { retryPolicy: { enabled: true, errorsToRetry: [] } });
    const retried = await finished((await exh.tasks.create({ functionName: all, ...fail('ANY', 'x') })).id);
    assert.equal(retried.status, 'retried');
    await exh.tasks.cancel(retried.retriedByTaskId);
  });

  test('a retry that succeeds ends the chain', async t => {
    const stage = await openStage(t);
    const source = `
      exports.handler = async event => {
        const response = await fetch(process.env.STAGE, { method: 'POST', body: JSON.stringify(event) });
        if (await response.json() === 'fail') throw new Error('not yet');
      };`;
    const functionName = await deploy(t, source, {
      environmentVariables: stage.environmentVariables, retryPolicy: { enabled: true },
    });
    const task = await exh.tasks.create({ functionName });
    (await stage.run(1)).release('fail');
    const retried = await finished(task.id);
    assert.equal(retried.status, 'retried');
    (await stage.run(2)).release();
    const second = await finished(retried.retriedByTaskId);
    assert.equal(second.status, 'complete');
    assert.deepEqual(second.retryForTaskIds, [task.id]);
  });
});
