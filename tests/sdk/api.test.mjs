// exh.tasks.api.*: get, post, put, delete, patch; and requests that the SDK cannot send.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { describe, test } from 'node:test';
import { refused } from './support/errors.mjs';
import { deploy } from './support/functions.mjs';
import { administrator, bearer, createCredential, exh, host, logins, oauth1, request } from './support/service.mjs';

/** Returns the event that it received. */
const MIRROR = `exports.handler = async event => ({ statusCode: 200, body: event });`;
/** Returns the result that the body asks for. */
const AS_ASKED = `exports.handler = async ({ body }) => JSON.parse(body).result;`;
/** Returns the bytes that it received. */
const BYTES = `
exports.handler = async ({ body, isBase64Encoded, headers }) => ({
  statusCode: 200, body, isBase64Encoded, headers: { 'content-type': 'application/octet-stream', 'x-was-base64': String(isBase64Encoded) },
});`;

const PUBLIC = { executionOptions: { permissionMode: 'public' } };

for (const [kind, login] of Object.entries(logins)) {
  describe(`API Functions, logged in with ${kind}`, () => {
    const { api } = login(administrator).tasks;

    test('every method of the SDK arrives with its path, query and body', async t => {
      const name = await deploy(t, MIRROR);
      const body = { snake_case: { updateTimestamp: '2026-01-31T08:15:30.123Z' }, text: 'é 🚀' };
      for (const method of ['get', 'delete', 'post', 'put', 'patch']) {
        const withBody = !['get', 'delete'].includes(method);
        const event = await api[method](name, 'a/b%2Fc//d?x=1&x=2&y=%20', ...(withBody ? [body] : []));
        assert.equal(event.version, '2.0');
        assert.equal(event.requestContext.http.method, method.toUpperCase());
        assert.equal(event.rawPath, '/a/b%2Fc//d');
        assert.equal(event.rawQueryString, '?x=1&x=2&y=%20');
        assert.equal(event.isBase64Encoded, false);
        if (withBody) {
          assert.deepEqual(JSON.parse(event.body), body);
          assert.match(event.headers['content-type'], /^application\/json/);
        } else {
          assert.ok(!event.body);
        }
        assert.equal(event.headers['x-exh-requesting-user-id'], (await exh.users.me()).id);
        Object.keys(event.headers).forEach(header => assert.equal(header, header.toLowerCase()));
      }
    });

    test('binary bodies arrive unchanged both ways, even 4 MB', async t => {
      const name = await deploy(t, BYTES, { memoryLimit: 512 });
      const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      for (const bytes of [everyByte, randomBytes(4_000_000)]) {
        const answer = await api.post(name, '/', bytes, {
          headers: { 'content-type': 'application/octet-stream' }, responseType: 'arraybuffer',
          maxBodyLength: Infinity, maxContentLength: Infinity,
        });
        assert.ok(Buffer.from(answer).equals(bytes));
      }
    });
  });
}

describe('a call', () => {
  test('may use OPTIONS and HEAD, too, but no other method', async t => {
    const name = await deploy(t, `
      exports.handler = async event => ({
        statusCode: 204 - 4 * (event.requestContext.http.method === 'HEAD'), headers: { 'x-method': event.requestContext.http.method },
      });`, PUBLIC);
    for (const [method, status] of [['OPTIONS', 204], ['HEAD', 200]]) {
      const response = await request(`/tasks/v1/api/${name}/x`, { method });
      assert.equal(response.status, status);
      assert.equal(response.headers.get('x-method'), method);
      const signed = await exh.raw[method.toLowerCase()](`/tasks/v1/api/${name}/x?a=(b)`);
      assert.equal(signed.headers['x-method'], method);
    }
    const response = await send(`/tasks/v1/api/${name}/x`, { method: 'PROPFIND' });
    assert.equal(response.status, 404);
    assert.equal(JSON.parse(response.body).name, 'ENDPOINT_EXCEPTION');
  });

  test('has the path / if nothing follows the name', async t => {
    const name = await deploy(t, MIRROR, PUBLIC);
    const event = async path => (await request(`/tasks/v1/api/${name}${path}`)).json();
    for (const path of ['', '/', '?a=1', '/?a=1']) {
      assert.equal((await event(path)).rawPath, '/', path);
    }
    assert.equal((await event('/')).rawQueryString, '');
    assert.equal((await event('/?a=1')).rawQueryString, '?a=1');
    assert.equal((await event('/trailing/')).rawPath, '/trailing/');
  });

  test('leaves path and query untouched', async t => {
    const name = await deploy(t, MIRROR, PUBLIC);
    const path = '/a%20b/%2e%2E/c%2f/%C3%A9/../~!$&\'()*+,;=:@';
    const query = '?q=%zz&a[]=1&&=&%00';
    const response = await send(`/tasks/v1/api/${name}${path}${query}`);
    const event = JSON.parse(response.body);
    assert.equal(event.rawPath, path);
    assert.equal(event.rawQueryString, query);
  });

  test('passes the caller on, and never a claimed identity', async t => {
    const name = await deploy(t, MIRROR, PUBLIC);
    const spoofed = {
      'X-ExH-Requesting-User-Id': 'root', 'x-exh-requesting-application-id': 'evil', 'X-Exh-Requesting-Anything': '1',
      'x-kept': 'Yes', 'x-exh-other': 'kept',
    };
    const identity = headers => Object.fromEntries(
      Object.entries(headers).filter(([header]) => header.startsWith('x-exh-requesting')),
    );
    const anonymous = await (await request(`/tasks/v1/api/${name}/`, { headers: spoofed })).json();
    assert.deepEqual(identity(anonymous.headers), {});
    assert.equal(anonymous.headers['x-kept'], 'Yes');
    assert.equal(anonymous.headers['x-exh-other'], 'kept');

    const credential = await createCredential({ userId: 'some-user', applicationId: 'some-application' });
    for (const caller of [oauth1(credential), bearer(credential)]) {
      const event = await caller.tasks.api.get(name, '/', { headers: spoofed });
      assert.deepEqual(identity(event.headers), {
        'x-exh-requesting-user-id': 'some-user', 'x-exh-requesting-application-id': 'some-application',
      });
    }
    const without = await createCredential({ userId: 'some-user' });
    const event = await bearer(without).tasks.api.get(name, '/', { headers: spoofed });
    assert.equal(event.headers['x-exh-requesting-user-id'], 'some-user');
  });

  test('accepts a body of almost 6 MB, and returns one', async t => {
    const name = await deploy(t, BYTES, { ...PUBLIC, memoryLimit: 512 });
    const text = 'x'.repeat(5_500_000);
    const response = await request(`/tasks/v1/api/${name}/`, {
      method: 'POST', body: text, headers: { 'content-type': 'text/plain' },
    });
    assert.equal(response.status, 200);
    assert.ok(await response.text() === text);
    const through = await exh.tasks.api.post(name, '/', text, {
      headers: { 'content-type': 'text/plain' }, maxBodyLength: Infinity, maxContentLength: Infinity,
    });
    assert.ok(through === text);
  });

  test('is refused if it or its response exceeds 6 MB', async t => {
    const name = await deploy(t, `
      exports.handler = async ({ rawPath }) => ({ statusCode: 200, body: 'x'.repeat(Number(rawPath.slice(1))) });
    `, { ...PUBLIC, memoryLimit: 512 });
    const large = await request(`/tasks/v1/api/${name}/0`, { method: 'POST', body: 'x'.repeat(6_400_000) });
    assert.ok(large.status >= 400 && large.status < 500, `${large.status}`);
    assert.ok((await large.json()).message.length > 0);
    assert.equal((await request(`/tasks/v1/api/${name}/5500000`)).status, 200);
    const answer = await request(`/tasks/v1/api/${name}/6400000`);
    assert.equal(answer.status, 400);
    assert.ok([1406, 1409].includes((await answer.json()).code));
  });
});

describe('a response', () => {
  const ask = async (name, result) => request(`/tasks/v1/api/${name}/`, { method: 'POST', body: JSON.stringify({ result }) });

  test('is sent as the Function returned it', async t => {
    const name = await deploy(t, AS_ASKED, PUBLIC);
    const response = await ask(name, {
      statusCode: 418,
      headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Mine': 'a, b', Connection: 'close', 'Content-Length': '1' },
      body: 'short and stout é',
    });
    assert.equal(response.status, 418);
    assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
    assert.equal(response.headers.get('x-mine'), 'a, b');
    assert.equal(await response.text(), 'short and stout é');
    assert.notEqual(response.headers.get('content-length'), '1');
  });

  test('is JSON unless it says otherwise', async t => {
    const name = await deploy(t, AS_ASKED, PUBLIC);
    for (const [body, text] of [[{ a: [1] }, '{"a":[1]}'], ['plain', 'plain'], [5, '5'], [undefined, ''], ['{"b":2}', '{"b":2}']]) {
      const response = await ask(name, { statusCode: 200, body });
      assert.equal(response.headers.get('content-type'), 'application/json');
      assert.equal(await response.text(), text);
    }
    const binary = await ask(name, { statusCode: 200, body: Buffer.from([0, 255, 128]).toString('base64'), isBase64Encoded: true });
    assert.deepEqual(Buffer.from(await binary.arrayBuffer()), Buffer.from([0, 255, 128]));
  });

  test('may be a redirect or have any status from 200 to 499', async t => {
    const name = await deploy(t, AS_ASKED, PUBLIC);
    for (const statusCode of [200, 201, 204, 302, 404, 499]) {
      const response = await ask(name, { statusCode, headers: { location: '/elsewhere' } });
      assert.equal(response.status, statusCode);
      assert.equal(response.headers.get('location'), '/elsewhere');
    }
  });

  test('the SDK throws the Function’s own errors', async t => {
    const name = await deploy(t, AS_ASKED, PUBLIC);
    const result = { statusCode: 403, body: { code: 4711, name: 'MINE', message: 'mine' } };
    const error = await exh.tasks.api.post(name, '/', { result }).then(() => assert.fail('no error'), e => e);
    assert.equal(error.status, 403);
    assert.equal(error.name, 'MINE');
    assert.equal(error.response.code, 4711);
  });

  const misfits = [
    [null, 'statusCode'], ['text', 'statusCode'], [{}, 'statusCode'], [{ statusCode: 199 }, 'statusCode'],
    [{ statusCode: 500 }, 'statusCode'], [{ statusCode: '2xx' }, 'statusCode'], [{ statusCode: 200, headers: [] }, 'headers'],
    [{ statusCode: 200, headers: { 'a b': 'c' } }, 'a b'], [{ statusCode: 200, body: 'no base64!', isBase64Encoded: true }, 'base64'],
  ];
  for (const [result, named] of misfits) {
    test(`${JSON.stringify(result)} is 1409 and says why`, async t => {
      const name = await deploy(t, AS_ASKED, PUBLIC);
      const error = await refused(1409, () => exh.tasks.api.post(name, '/', { result }));
      assert.ok(error.message.includes(named), error.message);
    });
  }
});

describe('a failure', () => {
  test('code that throws is 1406, without a Task', async t => {
    const name = await deploy(t, `exports.handler = async () => { const e = new Error('why'); e.name = 'MINE'; throw e; };`);
    const error = await refused(1406, () => exh.tasks.api.get(name, '/'));
    assert.deepEqual(error.response.runtimeError, { name: 'MINE', message: 'why' });
    assert.ok(!('taskId' in error.response));
    assert.equal((await exh.tasks.find({ rql: `?eq(functionName,${name})` })).page.total, 0);
  });

  test('a time limit above 30 s is 1411', async t => {
    const name = await deploy(t, MIRROR, { timeLimit: 31 });
    await refused(1411, () => exh.tasks.api.get(name, '/'));
  });

  test('a run over its time limit is 1406 with Sandbox.Timedout', async t => {
    const name = await deploy(t, `exports.handler = () => new Promise(r => setTimeout(r, 99999));`, { timeLimit: 3 });
    const error = await refused(1406, () => exh.tasks.api.get(name, '/'));
    assert.equal(error.response.runtimeError.name, 'Sandbox.Timedout');
  });
});

/** A request sent by node's own client, because fetch rewrites paths and refuses methods. */
function send(path, { method = 'GET' } = {}) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(host);
    const outgoing = http.request({ hostname, port, path, method }, async response => {
      const chunks = [];
      for await (const chunk of response) {
        chunks.push(chunk);
      }
      resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
