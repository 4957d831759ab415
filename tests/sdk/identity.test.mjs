// The caller that the service sees, for each kind of credential that the SDK can send.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused, refusedRaw, refusedWithOneOf } from './support/errors.mjs';
import { ECHO, deploy, uniqueName } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import {
  administrator, applicationOnly, bearer, createCredential, exh, host, logins, nobody, oauth1, request, revokeCredential,
} from './support/service.mjs';
import { until } from './support/wait.mjs';

describe('a valid credential', () => {
  for (const [kind, login] of Object.entries(logins)) {
    test(`${kind}: gets the caller's own id from /users/v1/me`, async () => {
      const userId = uniqueName('user');
      const caller = login(await createCredential({ userId }));
      const me = await caller.users.me();
      assert.equal(me.id, userId);
    });

    test(`${kind}: records the user and the application of what it creates`, async t => {
      const [userId, applicationId] = [uniqueName('user'), uniqueName('application')];
      const caller = login(await createCredential({ userId, applicationId, permissions: ['CREATE_TASKS'] }));
      const functionName = await deploy(t, ECHO);
      const task = await caller.tasks.create({ functionName });
      assert.equal(task.createdByUserId, userId);
      assert.equal(task.createdByApplicationId, applicationId);
    });
  }

  test('oauth1: passes the check of authenticate', async () => {
    const { consumerKey, consumerSecret, token, tokenSecret } = administrator;
    const caller = sdk.createOAuth1Client({ host, consumerKey, consumerSecret });
    const tokenData = await caller.auth.authenticate({ token, tokenSecret });
    assert.equal(tokenData.key, token);
    assert.equal(tokenData.userId, (await exh.users.me()).id);
    assert.equal(await caller.raw.userId, tokenData.userId);
    await caller.tasks.find();
  });

  test('oauth1: signs every method, with repeated and nested names in the query', async t => {
    const name = await deploy(t, `exports.handler = async event => ({ statusCode: 200, body: event.rawQueryString });`);
    const query = '?a=1&a=2&b[c]=3&d=&e=%20%26%3D%2B&f=%C3%A9';
    for (const method of ['get', 'delete', 'post', 'put', 'patch']) {
      const path = `/asked${query}`;
      const answer = await (['get', 'delete'].includes(method) ?
        exh.tasks.api[method](name, path) :
        exh.tasks.api[method](name, path, { some: 'body' }));
      assert.equal(decodeURIComponent(answer), decodeURIComponent(query), method);
    }
  });
});

describe('a bad credential', () => {
  const wrong = word => `${word.slice(0, -4)}${word.endsWith('0000') ? '1111' : '0000'}`;

  test('oauth1: an unknown consumer is 107, an unknown token 108, a wrong secret 109', async () => {
    const as = change => oauth1({ ...administrator, ...change }).tasks.find();
    await refused(107, () => as({ consumerKey: wrong(administrator.consumerKey) }));
    await refused(108, () => as({ token: wrong(administrator.token) }));
    await refused(109, () => as({ tokenSecret: wrong(administrator.tokenSecret) }));
    await refused(109, () => as({ consumerSecret: wrong(administrator.consumerSecret) }));
  });

  test('oauth1: authenticate reports an invalid token', async () => {
    const { consumerKey, consumerSecret, token } = administrator;
    const caller = sdk.createOAuth1Client({ host, consumerKey, consumerSecret });
    await refused(109, () => caller.auth.authenticate({ token, tokenSecret: 'no' }));
  });

  test('oauth1: a request that is sent twice is 110 the second time', async () => {
    let sent;
    const caller = oauth1(administrator, { requestLogger: config => { sent = config; } });
    await caller.tasks.functions.find();
    const headers = { authorization: sent.headers.Authorization ?? sent.headers.authorization };
    await refusedRaw(110, await request(sent.url, { headers }));
  });

  test('oauth1: the signature of a request is valid for no other', async () => {
    let sent;
    const caller = oauth1(administrator, {
      // The request goes nowhere: its signature was never used.
      requestLogger: config => { sent = config; throw new Error('not sent'); },
    });
    await assert.rejects(caller.tasks.functions.find());
    const headers = { authorization: sent.headers.Authorization ?? sent.headers.authorization };
    await refusedRaw(109, await request(`${sent.url}?limit(1)`, { headers }));
    await refusedRaw(109, await request(sent.url, { headers, method: 'POST' }));
  });

  test('bearer: an unknown token is 117, and the SDK then looks for another one', async () => {
    const asked = [];
    const caller = bearer({ accessToken: 'nobody-knows-this-one' }, { requestLogger: ({ url }) => asked.push(url) });
    await assert.rejects(caller.tasks.find());
    assert.deepEqual(asked, ['/tasks/v1/', '/auth/v2/oauth2/tokens']);
    await refusedRaw(117, await request('/tasks/v1/', { as: { accessToken: 'nobody-knows-this-one' } }));
  });

  test('a revoked credential is unknown immediately, with both kinds of login', async () => {
    const credential = await createCredential({ permissions: ['VIEW_TASKS'] });
    await oauth1(credential).tasks.find();
    await bearer(credential).tasks.find();
    await revokeCredential(credential);
    await refusedWithOneOf([107, 108], () => oauth1(credential).tasks.find());
    await refusedRaw(117, await request('/tasks/v1/', { as: credential }));
  });

  test('an expired credential is 118 as a bearer token, and invalid for signing', async () => {
    const expiresTimestamp = new Date(Date.now() + 2000).toISOString();
    const credential = await createCredential({ permissions: ['VIEW_TASKS'], expiresTimestamp });
    const response = await until('the credential has expired', async () => {
      const answer = await request('/tasks/v1/', { as: credential });
      return answer.status === 401 && answer;
    });
    assert.ok(Date.now() >= Date.parse(expiresTimestamp), 'it was refused before its time');
    await refusedRaw(118, response);
    await refusedWithOneOf([107, 108], () => oauth1(credential).tasks.find());
  });

  test('it is an error on a public Function too', async t => {
    const name = await deploy(t, ECHO, { executionOptions: { permissionMode: 'public' } });
    const path = `/tasks/v1/functions/${name}/execute`;
    await refusedRaw(117, await request(path, { method: 'POST', as: { accessToken: 'unknown' } }));
    await refused(109, () => oauth1({ ...administrator, tokenSecret: 'no' }).tasks.functions.execute(name));
    await refused(109, () => oauth1({ ...administrator, tokenSecret: 'no' }).tasks.api.get(name, '/'));
  });
});

describe('an anonymous caller', () => {
  test('must log in, like an application without a user', async () => {
    for (const caller of [nobody(), applicationOnly(administrator)]) {
      await refused(104, () => caller.tasks.find());
      await refused(104, () => caller.tasks.functions.find());
      await refused(104, () => caller.users.me());
    }
  });
});
