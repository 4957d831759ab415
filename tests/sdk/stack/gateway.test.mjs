// The official SDK with a stack on AWS or in an emulator: signed requests through API Gateway.
import './localhost.mjs';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sdk } from '../support/packages.mjs';
import { administrator, exh, logins, request } from '../support/service.mjs';
import { finished, logged } from '../support/wait.mjs';
import { refused } from '../support/errors.mjs';

const { rqlBuilder } = sdk;

for (const [kind, login] of Object.entries(logins)) {
  test(`a Task is created, runs and is read, logged in with ${kind}`, async () => {
    const { tasks } = login(administrator);
    const tag = `sdk, ${kind} & é`;
    const { id } = await tasks.create({ functionName: 'hello-js', data: { name: 'Ada' }, tags: [tag] });
    assert.equal((await finished(id)).status, 'complete');
    // The RQL is signed, and the gateway passes it on unchanged.
    const rql = rqlBuilder().eq('tags', tag).eq('status', 'complete').build();
    assert.deepEqual((await tasks.find({ rql })).data.map(task => task.id), [id]);
    const lines = await logged(() => tasks.logs.find(id));
    assert.ok(lines.some(({ message }) => message.includes('Saying hello to Ada')), JSON.stringify(lines));
  });
}

test('a Function is executed and returns its result', async () => {
  const { status, result } = await exh.tasks.functions.execute('hello-py', { name: 'Bob' });
  assert.deepEqual({ status, result }, { status: 'complete', result: { message: 'Hello, Bob!' } });
});

test('an API Function is called, with the caller in its headers', async () => {
  const response = await request('/tasks/v1/api/mirror/x', { as: administrator, method: 'POST', body: 'abc' });
  assert.equal(response.status, 201);
  assert.equal(response.headers.get('x-user'), 'administrator');
  assert.equal(await response.text(), 'cba');
});

test('a wrong secret is refused', async () => {
  const { tasks } = logins.oauth1({ ...administrator, tokenSecret: 'wrong' });
  await refused(109, () => tasks.find());
});
