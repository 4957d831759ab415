// exh.tasks.apiRequests.*: find, findAll, findAllIterator, findFirst, and their logs.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from './support/errors.mjs';
import { deploy } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, bearer, createCredential, exh, logins, request } from './support/service.mjs';
import { logged } from './support/wait.mjs';

const { rqlBuilder } = sdk;

const SOURCE = `
exports.handler = async ({ rawPath }) => {
  console.log('called', rawPath);
  if (rawPath === '/throw') { const e = new Error('why'); e.name = 'MINE'; throw e; }
  if (rawPath === '/nonsense') return { statusCode: 1 };
  return { statusCode: 201, body: 'x' };
};`;

for (const [kind, login] of Object.entries(logins)) {
  describe(`API Requests, logged in with ${kind}`, () => {
    const { apiRequests } = login(administrator).tasks;

    test('a call leaves its record and its logs', async t => {
      const name = await deploy(t, SOURCE);
      const credential = await createCredential({
        userId: 'caller', applicationId: 'application', permissions: [`EXECUTE_API_FUNCTION:${name}`],
      });
      const before = Date.now();
      await bearer(credential).tasks.api.post(name, '/some/path?a=%20b', { x: 1 });
      const rql = rqlBuilder().eq('functionName', name).build();
      const record = await apiRequests.findFirst({ rql });
      const { id, timestamp, duration, ...rest } = record;
      assert.deepEqual(rest, {
        functionName: name, method: 'POST', path: 'some/path?a=%20b', userId: 'caller', applicationId: 'application', statusCode: 201,
      });
      assert.match(id, /^[0-9a-f]{24}$/);
      assert.ok(timestamp instanceof Date && timestamp.getTime() >= before - 1000 && timestamp.getTime() <= Date.now());
      assert.ok(duration > 0 && duration < 60, `${duration} s`);
      assert.deepEqual((await apiRequests.find({ rql })).data, [record]);

      const lines = await logged(() => apiRequests.logs.find(id));
      assert.ok(lines.some(({ message }) => message.includes('called /some/path')), JSON.stringify(lines));
      lines.forEach(line => assert.ok(line.timestamp instanceof Date));
      assert.deepEqual(await apiRequests.logs.findFirst(id), lines[0]);
    });

    test('findAll, its iterator and the pagers read several pages', async t => {
      const name = await deploy(t, SOURCE);
      const { api } = login(administrator).tasks;
      for (let nth = 0; nth < 55; nth += 5) {
        await Promise.all([0, 1, 2, 3, 4].map(more => api.get(name, `/${nth + more}`)));
      }
      const rql = rqlBuilder().eq('functionName', name).sort('id').build();
      const all = await apiRequests.findAll({ rql });
      assert.deepEqual(all.map(({ path }) => Number(path)).sort((a, b) => a - b), Array.from({ length: 55 }, (_, nth) => nth));
      const pages = [];
      for await (const { data } of apiRequests.findAllIterator({ rql })) {
        pages.push(data.length);
      }
      assert.deepEqual(pages, [50, 5]);
      const first = await apiRequests.find({ rql: rqlBuilder(rql).limit(30).build() });
      const second = await first.next();
      assert.deepEqual([...first.data, ...second.data], all);
      assert.deepEqual((await second.previous()).data, first.data);
    });
  });
}

describe('an API Request', () => {
  const { api, apiRequests } = exh.tasks;

  test('of an anonymous call has no user', async t => {
    const name = await deploy(t, SOURCE, { executionOptions: { permissionMode: 'public' } });
    await request(`/tasks/v1/api/${name}/`);
    const record = await apiRequests.findFirst({ rql: rqlBuilder().eq('functionName', name).build() });
    assert.equal(record.path, '');
    assert.ok(!('userId' in record) && !('applicationId' in record));
  });

  test('says at which stage a call failed', async t => {
    const name = await deploy(t, SOURCE);
    await refused(1406, () => api.get(name, '/throw'));
    await refused(1409, () => api.get(name, '/nonsense'));
    await exh.tasks.functions.update(name, { timeLimit: 60 });
    await refused(1411, () => api.get(name, '/slow'));
    const records = Object.fromEntries(
      (await apiRequests.findAll({ rql: rqlBuilder().eq('functionName', name).build() })).map(record => [record.path, record]),
    );
    assert.deepEqual(records.throw.error, { type: 'runtime', name: 'MINE', message: 'why' });
    assert.equal(records.nonsense.error.type, 'response');
    assert.equal(records.slow.error.type, 'invocation');
    Object.values(records).forEach(({ statusCode }) => assert.equal(statusCode, 400));
    assert.equal((await apiRequests.find({ rql: rqlBuilder().eq('functionName', name).gt('statusCode', '300').build() })).page.total, 3);
    assert.equal((await apiRequests.find({ rql: `?eq(functionName,${name})&eq(error.type,runtime)` })).page.total, 1);
  });

  test('is not kept for a call that its caller may not make', async t => {
    const name = await deploy(t, SOURCE);
    await refused(10, async () => bearer(await createCredential()).tasks.api.get(name, '/'));
    assert.equal((await apiRequests.find({ rql: rqlBuilder().eq('functionName', name).build() })).page.total, 0);
  });

  test('that is unknown has no logs: 16', async () => {
    await refused(16, () => apiRequests.logs.find('0123456789abcdef01234567'));
    await refused(12, () => apiRequests.logs.find('no-id'));
  });

  test('has logs that accept ge on timestamp', async t => {
    const name = await deploy(t, SOURCE);
    await api.get(name, '/x');
    const { id } = await apiRequests.findFirst({ rql: rqlBuilder().eq('functionName', name).build() });
    const lines = await logged(() => apiRequests.logs.find(id));
    const rql = rqlBuilder().ge('timestamp', lines.at(-1).timestamp.toISOString()).build();
    const last = await apiRequests.logs.find(id, { rql });
    assert.ok(last.length >= 1 && last.every(({ timestamp }) => timestamp >= lines.at(-1).timestamp));
    await refused(19, () => apiRequests.logs.find(id, { rql: rqlBuilder().like('message', 'x').build() }));
  });
});
