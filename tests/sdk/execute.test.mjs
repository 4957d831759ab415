// exh.tasks.functions.execute: a Function that runs now while its caller waits.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, refusedRaw } from './support/errors.mjs';
import { ECHO, THROW, deploy, zipped } from './support/functions.mjs';
import { administrator, exh, logins, request } from './support/service.mjs';
import { ACTOR, openStage } from './support/stage.mjs';
import { finished } from './support/wait.mjs';

for (const [kind, login] of Object.entries(logins)) {
  describe(`execute, logged in with ${kind}`, () => {
    const { tasks } = login(administrator);

    test('returns the finished Task and the Function’s result', async t => {
      const name = await deploy(t, ECHO, { executionOptions: { defaultPriority: 12 } });
      const data = { snake_case: { timestamp: '2026-01-31T08:15:30.123Z' }, list: [1, 'é 🚀'] };
      const answer = await tasks.functions.execute(name, data);
      const { result, ...task } = answer;
      assert.equal(task.status, 'complete');
      assert.equal(task.functionName, name);
      assert.equal(task.priority, 12);
      assert.deepEqual(task.data, data);
      assert.equal(result.event.id, task.id);
      assert.deepEqual(result.event.data, data);
      for (const field of ['creationTimestamp', 'updateTimestamp', 'statusChangedTimestamp', 'startTimestamp']) {
        assert.ok(task[field] instanceof Date, field);
      }
      assert.deepEqual(await tasks.findById(task.id), task, 'the Task is stored, its result is not');
    });
  });
}

describe('execute', () => {
  const execute = exh.tasks.functions.execute.bind(exh.tasks.functions);

  test('accepts absent data, and an absent body', async t => {
    const name = await deploy(t, ECHO);
    assert.equal((await execute(name)).result.event.data ?? null, null);
    const path = `/tasks/v1/functions/${name}/execute`;
    for (const options of [{}, { body: '{}', headers: { 'content-type': 'application/json' } }]) {
      const response = await request(path, { method: 'POST', as: administrator, ...options });
      assert.equal(response.status, 200);
      assert.equal((await response.json()).status, 'complete');
    }
    await refusedRaw(22, await request(path, { method: 'POST', as: administrator, body: '{' }));
  });

  test('passes every kind of result on', async t => {
    const name = await deploy(t, `exports.handler = async ({ data }) => data.result;`);
    for (const result of [null, false, 0, '', 'é 🚀', [], {}, { snake_case: { updateTimestamp: 'text' } }, 1e21]) {
      assert.deepEqual((await execute(name, { result })).result, result);
    }
    assert.equal((await execute(name, {})).result, null);
  });

  test('passes numbers and halves of emoji on unchanged', async t => {
    const name = await deploy(t, 'exports.handler = async ({ data }) => data;');
    const post = async body => {
      const response = await request(`/tasks/v1/functions/${name}/execute`, {
        method: 'POST', as: administrator, body, headers: { 'content-type': 'application/json' },
      });
      assert.equal(response.status, 200);
      return response.text();
    };
    const doubles = [0.9157037119440723, 117.63331139400017, 123456789012345680000, 1e21, 1e-7, 5e-324];
    assert.ok((await post(JSON.stringify({ data: doubles }))).includes(`"result":${JSON.stringify(doubles)}`));
    const written = '[1.0,-0.0,9007199254740993,0.10,12345678901234567890.123456789,"\\ud83d"]';
    assert.ok((await post(`{"data":${written}}`)).includes(`"data":${written}`));
    assert.deepEqual((await execute(name, { cut: '🚀'.slice(0, 1) })).result, { cut: '\ud83d' });
  });

  test('null data stays null', async t => {
    const name = await deploy(t, `exports.handler = async event => 'data' in event;`);
    assert.equal((await execute(name, null)).result, true);
    const path = `/tasks/v1/functions/${name}/execute`;
    assert.equal((await (await request(path, { method: 'POST', as: administrator })).json()).result, false);
  });

  test('an error cut within an emoji keeps its name and message, and shows no stack', async t => {
    const name = await deploy(t, THROW);
    const error = await refused(1406, () => execute(name, { name: 'CUT', message: 'bad: \ud83d' }));
    assert.deepEqual(error.response.runtimeError, { name: 'CUT', message: 'bad: \ufffd' });
    assert.deepEqual((await exh.tasks.findById(error.response.taskId)).error, {
      type: 'runtime', name: 'CUT', message: 'bad: \ufffd',
    });
  });

  test('code that throws is 1406, with the Task and the error', async t => {
    const name = await deploy(t, THROW, { retryPolicy: { enabled: true } });
    const error = await refused(1406, () => execute(name, { name: 'MY_ERROR', message: 'no “luck”' }));
    assert.deepEqual(error.response.runtimeError, { name: 'MY_ERROR', message: 'no “luck”' });
    const task = await exh.tasks.findById(error.response.taskId);
    assert.equal(task.status, 'failed', 'its caller has the answer: the policy does not retry it');
    assert.deepEqual(task.error, { type: 'runtime', name: 'MY_ERROR', message: 'no “luck”' });
    assert.equal((await exh.tasks.find({ rql: `?eq(functionName,${name})` })).page.total, 1);
  });

  test('names errors as Lambda does', async t => {
    const cases = {
      Error: `exports.handler = async () => { throw new Error('m'); };`,
      TypeError: `exports.handler = async () => null.x;`,
      Custom: `class A extends Error { name = 'Custom'; }; exports.handler = async () => { throw new A('m'); };`,
      'Runtime.ExitError': `exports.handler = async () => process.exit(1);`,
      'Runtime.ImportModuleError': `require('no-such-module');`,
      'Runtime.HandlerNotFound': `exports.other = 1;`,
      'Runtime.UserCodeSyntaxError': `exports.handler = (`,
      'Runtime.UnhandledPromiseRejection':
        `exports.handler = () => new Promise(() => { Promise.reject(new Error('m')); setTimeout(() => {}, 1000); });`,
    };
    for (const [expected, source] of Object.entries(cases)) {
      const name = await deploy(t, source);
      const error = await refused(1406, () => execute(name), expected);
      assert.equal(error.response.runtimeError.name, expected, JSON.stringify(error.response));
    }
  });

  test('a Function that failed can succeed the next time', async t => {
    const name = await deploy(t, `
      exports.handler = async ({ data }) => data === 'exit' ? process.exit(1) : data === 'hang' ? new Promise(r => setTimeout(r, 99999)) : data;
    `, { timeLimit: 3 });
    for (const [data, expected] of [['exit', 'Runtime.ExitError'], ['hang', 'Sandbox.Timedout']]) {
      const error = await refused(1406, () => execute(name, data));
      assert.equal(error.response.runtimeError.name, expected);
      assert.equal((await execute(name, 'well')).result, 'well');
    }
  });

  test('a time limit above 30 s is 1404', async t => {
    const name = await deploy(t, ECHO, { timeLimit: 31 });
    await refused(1404, () => execute(name));
    await exh.tasks.functions.update(name, { timeLimit: 30 });
    await execute(name);
  });

  test('without a free slot of the Function it is 1403, while a Task waits', async t => {
    const stage = await openStage(t);
    const name = await deploy(t, ACTOR, {
      environmentVariables: stage.environmentVariables, executionOptions: { concurrencyLimit: 1 },
    });
    const running = execute(name, 'first');
    const run = await stage.run(1);
    await refused(1403, () => execute(name, 'second'));
    const task = await exh.tasks.create({ functionName: name });
    run.release('done');
    assert.equal((await running).result, 'done');
    (await stage.run(2)).release();
    assert.equal((await finished(task.id)).status, 'complete');
    assert.equal(stage.runs.length, 2, 'what was refused did not run');
  });

  test('bypasses the queue', async t => {
    const stage = await openStage(t);
    const blocked = await deploy(t, ACTOR, {
      environmentVariables: stage.environmentVariables, executionOptions: { concurrencyLimit: 2 },
    });
    const first = await exh.tasks.create({ functionName: blocked, data: 1 });
    await stage.run(1);
    const running = execute(blocked, 'direct');
    const direct = await stage.run(2);
    assert.equal(direct.event.data, 'direct');
    stage.runs.forEach(run => run.release());
    await running;
    await finished(first.id);
  });

  test('keeps module state between warm calls', async t => {
    const name = await deploy(t, `let calls = 0; exports.handler = async () => (calls += 1);`);
    const counted = [];
    for (let call = 0; call < 3; call += 1) {
      counted.push((await execute(name)).result);
    }
    assert.deepEqual(counted, [1, 2, 3]);
  });

  test('runs Functions of other runtimes and forms', async t => {
    const esm = await deploy(t, '', { code: zipped({ 'index.mjs': `export const handler = async ({ data }) => data + 1;` }) });
    assert.equal((await execute(esm, 1)).result, 2);
    const callback = await deploy(t, `exports.handler = (event, context, done) => done(null, event.data + 1);`);
    assert.equal((await execute(callback, 1)).result, 2);
    const python = await deploy(t, '', {
      code: zipped({ 'main.py': `def handler(event, context):\n    return {'sum': event['data'] + 1}\n` }),
      entryPoint: 'main.handler', runtime: 'python3.11',
    });
    assert.deepEqual((await execute(python, 1)).result, { sum: 2 });
  });
});
