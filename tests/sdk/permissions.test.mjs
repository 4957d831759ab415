// Permissions: permission modes, and the permission of each call.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { refused, refusedWithOneOf } from './support/errors.mjs';
import { deploy, uniqueName } from './support/functions.mjs';
import { applicationOnly, administrator, createCredential, logins, nobody, revokeCredential } from './support/service.mjs';

const SOURCE = `exports.handler = async () => ({ statusCode: 200, body: 'ran' });`;
const NONE = uniqueName('nowhere');
const ID = '0123456789abcdef01234567';

describe('permission modes', () => {
  const calls = {
    EXECUTE_TASK_FUNCTION: (caller, name) => caller.tasks.functions.execute(name),
    EXECUTE_API_FUNCTION: (caller, name) => caller.tasks.api.get(name, '/'),
  };
  // The result for each kind of caller and each mode: an error's code, or 'runs'. `none` is an unknown Function.
  const table = {
    'nobody logged in': { permissionRequired: 104, allUsers: 104, public: 'runs', none: 104 },
    'an application without a user': { permissionRequired: 104, allUsers: 104, public: 'runs', none: 104 },
    'logged in': { permissionRequired: 10, allUsers: 'runs', public: 'runs', none: 10 },
    'the permission': { permissionRequired: 'runs', allUsers: 'runs', public: 'runs', none: 16 },
    'the permission for this Function': { permissionRequired: 'runs', allUsers: 'runs', public: 'runs', none: 16 },
    'the permission for another Function': { permissionRequired: 10, allUsers: 'runs', public: 'runs', none: 10 },
    'the other permission': { permissionRequired: 10, allUsers: 'runs', public: 'runs', none: 10 },
  };

  for (const [permission, call] of Object.entries(calls)) {
    for (const [kind, login] of Object.entries(logins)) {
      const callers = {
        'nobody logged in': async () => nobody(),
        'an application without a user': async () => applicationOnly(administrator),
        'logged in': () => holding(login, []),
        'the permission': () => holding(login, [permission]),
        'the permission for this Function': name => holding(login, [`${permission}:${name}`]),
        'the permission for another Function': name => holding(login, [`${permission}:${name}x`]),
        'the other permission': name => {
          const [other] = Object.keys(calls).filter(word => word !== permission);
          return holding(login, [other, `${other}:${name}`]);
        },
      };
      for (const [who, expected] of Object.entries(table)) {
        test(`${permission}, ${kind}: ${who}`, async t => {
          for (const [mode, outcome] of Object.entries(expected)) {
            const name = mode === 'none' ? NONE : await deploy(t, SOURCE, { executionOptions: { permissionMode: mode } });
            const caller = await callers[who](name);
            if (outcome === 'runs') {
              await call(caller, name);
            } else {
              await refused(outcome, () => call(caller, name), `${who}, ${mode}`);
            }
          }
        });
      }
    }
  }
});

describe('the permission of each call', () => {
  const withBody = { functionName: NONE, interval: 60 };
  // The last element is the error code for a caller with the permission, if any.
  const calls = [
    ['VIEW_TASKS', tasks => tasks.find()],
    ['CREATE_TASKS', tasks => tasks.create(withBody), 16],
    ['CANCEL_TASKS', tasks => tasks.cancel(ID), 16],
    ['VIEW_TASK_LOGS', tasks => tasks.logs.find(ID), 16],
    ['VIEW_TASK_FUNCTIONS', tasks => tasks.functions.find()],
    ['CREATE_TASK_FUNCTION', tasks => tasks.functions.create({ name: NONE }), 14],
    ['VIEW_TASK_FUNCTION_DETAILS', tasks => tasks.functions.getByName(NONE), 16],
    ['UPDATE_TASK_FUNCTION', tasks => tasks.functions.update(NONE, { timeLimit: 5 }), 16],
    ['UPDATE_TASK_FUNCTION', tasks => tasks.functions.enable(NONE), 16],
    ['UPDATE_TASK_FUNCTION', tasks => tasks.functions.disable(NONE), 16],
    ['DELETE_TASK_FUNCTION', tasks => tasks.functions.remove(NONE), 16],
    ['VIEW_API_FUNCTION_REQUESTS', tasks => tasks.apiRequests.find()],
    ['VIEW_API_FUNCTION_REQUEST_LOGS', tasks => tasks.apiRequests.logs.find(ID), 16],
    ['VIEW_TASK_SCHEDULES', tasks => tasks.schedules.find()],
    ['CREATE_TASK_SCHEDULE', tasks => tasks.schedules.create(withBody), 16],
    ['DELETE_TASK_SCHEDULE', tasks => tasks.schedules.remove(ID), 16],
  ];
  const all = [...new Set(calls.map(([permission]) => permission))];

  for (const [kind, login] of Object.entries(logins)) {
    let without;
    before(async () => {
      without = new Map(await Promise.all(all.map(
        async permission => [permission, await holding(login, all.filter(other => other !== permission))],
      )));
    });

    for (const [permission, call, outcome] of calls) {
      test(`${kind}: ${call.toString().slice(9)} needs ${permission}`, async () => {
        await refused(104, () => call(nobody().tasks));
        const error = await refused(10, () => call(without.get(permission).tasks));
        assert.match(error.message, new RegExp(permission));
        const { tasks } = await holding(login, [permission]);
        if (outcome) {
          await refused(outcome, () => call(tasks));
        } else {
          await call(tasks);
        }
      });
    }
  }

  test('is lost when the credential is revoked', async () => {
    const credential = await createCredential({ permissions: ['VIEW_TASKS'] });
    const caller = logins.oauth1(credential);
    await caller.tasks.find();
    await revokeCredential(credential);
    await refusedWithOneOf([107, 108], () => caller.tasks.find());
  });
});

async function holding(login, permissions) {
  return login(await createCredential({ permissions }));
}
