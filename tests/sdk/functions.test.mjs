// exh.tasks.functions.*: find, create, getByName, update, remove, enable, disable.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, refusedWithOneOf } from './support/errors.mjs';
import { ECHO, definition, deploy, uniqueName, zipped } from './support/functions.mjs';
import { administrator, exh, logins, request } from './support/service.mjs';
import { fflate } from './support/packages.mjs';
import { openStage, ACTOR } from './support/stage.mjs';
import { finished, logged } from './support/wait.mjs';

for (const [kind, login] of Object.entries(logins)) {
  describe(`functions, logged in with ${kind}`, () => {
    const { functions } = login(administrator).tasks;

    test('a Function goes through its whole life', async t => {
      const body = definition(ECHO);
      t.after(() => functions.remove(body.name).catch(() => {}));
      const before = Date.now();

      const created = await functions.create(body);
      assert.equal(created.name, body.name);
      assert.ok(created.updateTimestamp instanceof Date && created.updateTimestamp.getTime() >= before - 1000);
      assert.ok(!('code' in created));

      assert.deepEqual(await functions.getByName(body.name), created);
      const listed = (await functions.find()).data.find(({ name }) => name === body.name);
      assert.deepEqual(Object.keys(listed).sort().filter(key => key !== 'description'), ['name', 'updateTimestamp']);

      assert.deepEqual(await functions.update(body.name, { description: 'new' }), { affectedRecords: 1 });
      assert.equal((await functions.getByName(body.name)).description, 'new');

      assert.deepEqual(await functions.disable(body.name), { affectedRecords: 1 });
      assert.equal((await functions.getByName(body.name)).enabled, false);
      assert.deepEqual(await functions.enable(body.name), { affectedRecords: 1 });
      assert.equal((await functions.getByName(body.name)).enabled, true);

      assert.deepEqual(await functions.remove(body.name), { affectedRecords: 1 });
      await refused(16, () => functions.getByName(body.name));
    });
  });
}

describe('create', () => {
  const { functions } = exh.tasks;

  test('fills in the defaults', async t => {
    const body = definition(ECHO);
    delete body.timeLimit;
    t.after(() => functions.remove(body.name));
    const created = await functions.create(body);
    assert.equal(created.timeLimit, 30);
    assert.equal(created.memoryLimit, 128);
    assert.equal(created.enabled, true);
    assert.equal(created.retryPolicy.enabled, false);
    assert.equal(created.executionOptions.permissionMode, 'permissionRequired');
    assert.equal(created.executionOptions.defaultPriority, 0);
  });

  test('keeps every property unchanged', async t => {
    const body = definition(ECHO, {
      description: 'Sends “invoices” — é 🚀',
      timeLimit: 300,
      memoryLimit: 10240,
      environmentVariables: { snake_case: { value: 'a=b c' }, CamelCase: { value: '' }, X_1: { value: '🚀' } },
      retryPolicy: { enabled: true, errorsToRetry: ['CONNECTION_ERROR', 'Sandbox.Timedout'] },
      executionOptions: { permissionMode: 'allUsers', defaultPriority: -9007199254740991 },
    });
    t.after(() => functions.remove(body.name));
    await functions.create(body);
    const { code, ...given } = body;
    const { updateTimestamp, enabled, codeSha256, version, ...kept } = await functions.getByName(body.name);
    assert.deepEqual(kept, given);
  });

  test('keeps the schemas of data and results, and refuses data that does not fit', async t => {
    const schemas = {
      dataSchema: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } },
      resultSchema: true,
    };
    const name = await deploy(t, ECHO, schemas);
    const { dataSchema, resultSchema } = await functions.getByName(name);
    assert.deepEqual({ dataSchema, resultSchema }, schemas);
    const error = await refused(15, () => exh.tasks.create({ functionName: name, data: { n: 'secret' } }));
    assert.match(error.message, /'\/n' must be a whole number/);
    assert.doesNotMatch(error.message, /secret/);
    await functions.update(name, { dataSchema: null, resultSchema: null });
    const after = await functions.getByName(name);
    assert.ok(!('dataSchema' in after) && !('resultSchema' in after));
  });

  test('a name that is taken is 17', async t => {
    const name = await deploy(t, ECHO);
    await refused(17, () => functions.create(definition(ECHO, { name })));
  });

  test('a missing required field is 14 and named', async () => {
    for (const field of ['name', 'code', 'entryPoint', 'runtime']) {
      const { [field]: left, ...body } = definition(ECHO);
      const error = await refused(14, () => functions.create(body), field);
      assert.match(error.message, new RegExp(field));
    }
  });

  const misfits = [
    ['name', 5],
    ['description', 'x'.repeat(257)], ['description', 1],
    ['timeLimit', 2], ['timeLimit', 301], ['timeLimit', 3.5], ['timeLimit', '30'],
    ['memoryLimit', 127], ['memoryLimit', 10241],
    ['environmentVariables', { A: 'not an object' }], ['environmentVariables', []],
    ['retryPolicy', { enabled: 'yes' }], ['retryPolicy', { enabled: true, errorsToRetry: 'all' }],
    ['executionOptions', { permissionMode: 'everybody' }],
    ['executionOptions', { defaultPriority: 9007199254740992 }], ['executionOptions', { defaultPriority: 0.5 }],
  ];
  for (const [field, value] of misfits) {
    test(`${field} = ${JSON.stringify(value).slice(0, 40)} is 15 and named`, async () => {
      const error = await refused(15, () => functions.create(definition(ECHO, { [field]: value })));
      assert.match(error.message, new RegExp(field));
    });
  }

  for (const name of ['no spaces', '', 'x'.repeat(65), 'é']) {
    test(`the name ${JSON.stringify(name).slice(0, 40)} is 1407`, async () => {
      const error = await refused(1407, () => functions.create(definition(ECHO, { name })));
      assert.match(error.message, /name/);
    });
  }

  test('code that is not base64, not a zip or an empty zip is 1401', async () => {
    const empty = Buffer.from(fflate.zipSync({})).toString('base64');
    for (const code of ['not base64!', Buffer.from('not a zip').toString('base64'), empty, '']) {
      await refused(1401, () => functions.create(definition(ECHO, { code })), `code ${code}`);
    }
  });

  test('code that would write outside its folder is 1401', async () => {
    for (const path of ['../outside.js', '/absolute.js', 'a/../../outside.js']) {
      await refused(1401, () => functions.create(definition(ECHO, { code: zipped({ 'index.js': ECHO, [path]: 'x' }) })), path);
    }
  });

  test('a configuration that Lambda would refuse is 1402', async () => {
    await refused(1402, () => functions.create(definition(ECHO, { runtime: 'cobol1.x' })));
    const large = { LARGE: { value: 'x'.repeat(4096) } };
    await refused(1402, () => functions.create(definition(ECHO, { environmentVariables: large })));
    for (const name of ['AWS_REGION', 'LAMBDA_TASK_ROOT', '_HANDLER']) {
      const environmentVariables = { [name]: { value: 'mine' } };
      const call = () => functions.create(definition(ECHO, { environmentVariables }));
      const error = await refusedWithOneOf([15, 1402], call, name);
      assert.match(error.message, new RegExp(name));
    }
  });

  test('unknown fields are ignored, and only enable and disable change `enabled`', async t => {
    const body = definition(ECHO, { enabled: false, madeUp: { x: 1 } });
    t.after(() => functions.remove(body.name));
    const created = await functions.create(body);
    assert.equal(created.enabled, true);
    assert.ok(!('madeUp' in created));
    await functions.update(body.name, { enabled: false, madeUp: 1 });
    assert.equal((await functions.getByName(body.name)).enabled, true);
  });

  test('an empty body is 13, invalid JSON 22, anything but an object 22', async () => {
    const post = body => request('/tasks/v1/functions', {
      method: 'POST', as: administrator, headers: { 'content-type': 'application/json' }, body,
    });
    const codes = [];
    for (const body of ['', '{', '[]', '"text"']) {
      codes.push((await (await post(body)).json()).code);
    }
    assert.deepEqual(codes, [13, 22, 22, 22]);
  });
});

describe('find', () => {
  const { functions } = exh.tasks;

  test('returns every Function in one page and ignores RQL', async t => {
    const names = await Promise.all(Array.from({ length: 25 }, () => deploy(t, ECHO)));
    const page = await functions.find();
    const listed = page.data.map(({ name }) => name);
    names.forEach(name => assert.ok(listed.includes(name), name));
    assert.equal(page.page.total, page.data.length);
    assert.equal(page.page.offset, 0);

    const response = await request(`/tasks/v1/functions?limit(1)&eq(name,${names[0]})&nonsense((`, { as: administrator });
    assert.equal(response.status, 200);
    const unfiltered = (await response.json()).data.map(({ name }) => name);
    names.forEach(name => assert.ok(unfiltered.includes(name), name));
  });

  test('works with and without a trailing slash', async () => {
    for (const path of ['/tasks/v1/functions', '/tasks/v1/functions/', '/tasks/v1', '/tasks/v1/', '/tasks/v1/schedules/']) {
      assert.equal((await request(path, { as: administrator })).status, 200, path);
    }
  });
});

describe('update', () => {
  const { functions } = exh.tasks;

  test('changes the given fields and keeps the rest', async t => {
    const name = await deploy(t, ECHO, {
      description: 'first', environmentVariables: { KEPT: { value: 'yes' } }, retryPolicy: { enabled: true, errorsToRetry: ['A'] },
    });
    const before = await functions.getByName(name);
    await functions.update(name, { timeLimit: 7 });
    const after = await functions.getByName(name);
    assert.ok(after.updateTimestamp >= before.updateTimestamp);
    assert.deepEqual({ ...after, updateTimestamp: 0 }, { ...before, timeLimit: 7, version: before.version + 1, updateTimestamp: 0 });
  });

  test('keeps the retry strategy that a client of upstream does not send', async t => {
    const strategy = { maxRetries: 5, backoff: 'fixed', baseSeconds: 3, maxSeconds: 60, jitter: false };
    const name = await deploy(t, ECHO, { retryPolicy: { enabled: true, errorsNotToRetry: ['A'], strategy } });
    await functions.update(name, { retryPolicy: { enabled: true, errorsToRetry: ['B'] } });
    const { retryPolicy } = await functions.getByName(name);
    assert.deepEqual(retryPolicy, { enabled: true, errorsToRetry: ['B'], errorsNotToRetry: ['A'], strategy });
  });

  test('runs the new code as soon as it has responded', async t => {
    const name = await deploy(t, `exports.handler = async () => 'old';`);
    assert.equal((await functions.execute(name)).result, 'old');
    await functions.update(name, { code: zipped({ 'index.js': `exports.handler = async () => 'new';` }) });
    assert.equal((await functions.execute(name)).result, 'new');
  });

  test('is atomic for callers: old code with old configuration, or new with new', async t => {
    const version = word => ({
      code: zipped({ 'index.js': `exports.handler = async () => ['${word}', process.env.VERSION];` }),
      environmentVariables: { VERSION: { value: word } },
    });
    const body = definition(ECHO, version('first'));
    await functions.create(body);
    t.after(() => functions.remove(body.name));

    let done = false;
    const seen = [];
    const caller = async () => {
      while (!done) {
        seen.push((await functions.execute(body.name)).result);
      }
    };
    const callers = [caller(), caller()];
    for (const word of ['second', 'third', 'fourth', 'fifth']) {
      await functions.update(body.name, version(word));
      const answer = (await functions.execute(body.name)).result;
      assert.deepEqual(answer, [word, word], 'a call after the update saw something else');
    }
    done = true;
    await Promise.all(callers);
    seen.forEach(([code, configuration]) => assert.equal(code, configuration));
    assert.ok(seen.length > 4, 'nothing was called meanwhile');
  });

  test('of an unknown Function is 16, like the other calls', async () => {
    const name = uniqueName('nowhere');
    await refused(16, () => functions.getByName(name));
    await refused(16, () => functions.update(name, { timeLimit: 5 }));
    await refused(16, () => functions.remove(name));
    await refused(16, () => functions.enable(name));
    await refused(16, () => functions.disable(name));
    await refused(16, () => functions.execute(name));
    await refused(16, () => exh.tasks.api.get(name, '/'));
    await refused(16, () => exh.tasks.create({ functionName: name }));
    await refused(16, () => exh.tasks.schedules.create({ functionName: name, interval: 60 }));
  });

  test('refuses the same values as create', async t => {
    const name = await deploy(t, ECHO);
    await refused(15, () => functions.update(name, { timeLimit: 2 }));
    await refused(1401, () => functions.update(name, { code: 'AAAA' }));
    await refused(1402, () => functions.update(name, { runtime: 'cobol1.x' }));
    assert.equal((await functions.execute(name, 'still')).result.event.data, 'still');
  });
});

describe('disable', () => {
  const { functions } = exh.tasks;

  test('a disabled Function runs nothing, its Tasks wait, and run once it is enabled', async t => {
    const stage = await openStage(t);
    const name = await deploy(t, ACTOR, { environmentVariables: stage.environmentVariables });
    await functions.disable(name);
    await functions.disable(name);
    await refused(27, () => functions.execute(name));
    await refused(27, () => exh.tasks.api.get(name, '/'));
    const task = await exh.tasks.create({ functionName: name, priority: 1000 });

    // Another Function's Task, created later and with lower priority, overtakes the waiting one.
    const other = await deploy(t, ECHO);
    const passing = await exh.tasks.create({ functionName: other });
    assert.equal((await finished(passing.id)).status, 'complete');
    assert.equal((await exh.tasks.findById(task.id)).status, 'new');

    await functions.enable(name);
    (await stage.run(1)).release();
    assert.equal((await finished(task.id)).status, 'complete');
    assert.equal(stage.runs.length, 1);
  });
});

describe('remove', () => {
  test('leaves the Tasks, API Requests and logs readable', async t => {
    const source = `exports.handler = async event => { console.log('remembered'); return { statusCode: 200, body: 'x' }; };`;
    const name = await deploy(t, source);
    const task = await exh.tasks.create({ functionName: name });
    await finished(task.id);
    await exh.tasks.api.get(name, '/kept');
    const rql = `?eq(functionName,${name})`;
    const lines = await logged(() => exh.tasks.logs.find(task.id));
    await exh.tasks.functions.remove(name);
    assert.equal((await exh.tasks.findById(task.id)).functionName, name);
    assert.deepEqual(await exh.tasks.logs.find(task.id), lines);
    const record = await exh.tasks.apiRequests.findFirst({ rql });
    assert.equal(record.path, 'kept');
    const apiLines = await logged(() => exh.tasks.apiRequests.logs.find(record.id));
    assert.ok(apiLines.some(({ message }) => message.includes('remembered')));
  });

  test('makes the waiting Tasks fail', async t => {
    const name = await deploy(t, ECHO);
    const startTimestamp = new Date(Date.now() + 1500);
    const task = await exh.tasks.create({ functionName: name, startTimestamp });
    await exh.tasks.functions.remove(name);
    const ended = await finished(task.id);
    assert.equal(ended.status, 'failed');
    assert.equal(ended.error.type, 'invocation');
  });

  test('frees the name', async t => {
    const name = await deploy(t, ECHO);
    await exh.tasks.functions.remove(name);
    await exh.tasks.functions.create(definition(`exports.handler = async () => 'another';`, { name }));
    assert.equal((await exh.tasks.functions.execute(name)).result, 'another');
  });
});
