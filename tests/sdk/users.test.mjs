// Roles and users: the calls that exh 1.13.6 makes with the SDK for `exh tasks sync` with executionCredentials and for
// `exh login`, in its order and with its bodies.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { refused } from './support/errors.mjs';
import { ECHO, deploy, uniqueName, zipped } from './support/functions.mjs';
import { sdk } from './support/packages.mjs';
import { administrator, applicationOnly, createCredential, exh, host, oauth1 } from './support/service.mjs';

const { rqlBuilder } = sdk;
const named = name => rqlBuilder().eq('name', name).build();

/** `syncRoleWithPermissions` of exh. */
async function syncRole(taskName, permissions) {
  const name = `exh.tasks.${taskName}`;
  let role = await exh.users.globalRoles.findByName(name);
  if (!role) {
    role = await exh.users.globalRoles.create({ name, description: `A role created by the CLI for ${taskName}` });
    await exh.users.globalRoles.addPermissions(named(name), { permissions });
    return role;
  }
  const current = role.permissions?.flatMap(permission => permission.name) || [];
  const added = permissions.filter(permission => !current.includes(permission));
  const removed = current.filter(permission => !permissions.includes(permission));
  if (added.length > 0) await exh.users.globalRoles.addPermissions(named(name), { permissions: added });
  if (removed.length > 0) await exh.users.globalRoles.removePermissions(named(name), { permissions: removed });
  return role;
}

/** `syncFunctionUser` of exh for a user that does not exist: the user, and their token. */
async function createUser(taskName, role) {
  const email = `exh.tasks+${taskName}@extrahorizon.com`.toLowerCase();
  const password = '0Oo-0123456789abcdef0123456789abcdef';
  assert.equal(await exh.users.findFirst({ rql: rqlBuilder().eq('email', email).build() }), undefined);
  const user = await exh.users.createAccount({
    activationMode: 'manual', firstName: taskName, lastName: 'exh.tasks', email, password, phoneNumber: '0000000000', language: 'EN',
  });
  await exh.users.globalRoles.addToUsers(rqlBuilder().eq('id', user.id).build(), { roles: [role.id] });
  const token = await applicationOnly(administrator).auth.authenticate({ email, password });
  return { user, token, password };
}

const as = ({ token, tokenSecret }, consumer = administrator) => oauth1({ ...consumer, token, tokenSecret });

describe('executionCredentials of the official CLI', () => {
  test('a Function calls the service back with what its role allows, and nothing else', async t => {
    const name = uniqueName('caller');
    const role = await syncRole(name, ['VIEW_TASKS', 'VIEW_DOCUMENTS:{schemaName}']);
    const { user, token } = await createUser(name, role);
    const { consumerKey, consumerSecret } = administrator;
    const environment = {
      API_HOST: host, API_OAUTH_CONSUMER_KEY: consumerKey, API_OAUTH_CONSUMER_SECRET: consumerSecret,
      API_OAUTH_TOKEN: token.token, API_OAUTH_TOKEN_SECRET: token.tokenSecret,
    };
    const environmentVariables = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, { value }]));
    const deployed = await deploy(t, ECHO, { name, code: zipped({ 'index.js': ECHO }), environmentVariables });

    // What the CLI reads back before it syncs again.
    const found = await exh.tasks.functions.getByName(deployed);
    assert.deepEqual(found.environmentVariables, environmentVariables);
    const variable = key => found.environmentVariables[key].value;
    const caller = sdk.createOAuth1Client({
      host: variable('API_HOST'), token: variable('API_OAUTH_TOKEN'), tokenSecret: variable('API_OAUTH_TOKEN_SECRET'),
      consumerKey: variable('API_OAUTH_CONSUMER_KEY'), consumerSecret: variable('API_OAUTH_CONSUMER_SECRET'),
    });
    const me = await caller.users.me();
    assert.equal(me.id, user.id);
    assert.match(me.id, /^[0-9a-f]{24}$/);
    assert.equal(me.email, `exh.tasks+${name}@extrahorizon.com`);
    const again = await exh.users.findFirst({ rql: rqlBuilder().eq('email', me.email).build() });
    assert.deepEqual(again.roles.map(role => role.name), [`exh.tasks.${name}`]);
    assert.ok(again.creationTimestamp instanceof Date);

    await caller.tasks.find();
    await refused(10, () => caller.tasks.functions.find());
    await syncRole(name, ['VIEW_TASK_FUNCTIONS', 'VIEW_DOCUMENTS:{schemaName}']);
    await caller.tasks.functions.find();
    await refused(10, () => caller.tasks.find());
    await exh.users.globalRoles.removeFromUser(rqlBuilder().eq('id', user.id).build(), { roles: [role.id] });
    await refused(10, () => caller.tasks.functions.find());
  });

  test('another developer syncs the same Function', async () => {
    const name = uniqueName('caller');
    const { user, token } = await createUser(name, await syncRole(name, ['VIEW_TASKS']));
    const colleague = await createCredential({ userId: uniqueName('colleague') });
    const caller = as(token, colleague);
    assert.equal((await caller.users.me()).id, user.id);
    await caller.tasks.find();
  });
});

test('exh login writes a token that later commands are checked with', async () => {
  const name = uniqueName('person');
  const { user, password } = await createUser(name, await syncRole(name, ['VIEW_TASKS']));
  const client = applicationOnly(administrator);
  const written = await client.auth.authenticate({ email: user.email, password });
  const later = applicationOnly(administrator);
  const { userId } = await later.auth.authenticate({ token: written.token, tokenSecret: written.tokenSecret });
  assert.equal(userId, user.id);
  await refused(106, () => sdk.createOAuth1Client({ host, ...administrator, token: undefined, tokenSecret: undefined })
    .auth.authenticate({ email: user.email, password: `${password}x` }));
});
