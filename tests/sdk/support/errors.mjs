// The errors that the SDK throws: its class for the code, and the code and name that the service gave.
import assert from 'node:assert/strict';
import { ERRORS } from './contract.mjs';
import { sdk } from './packages.mjs';

/** Fails unless the call is refused with this code; answers the error as the SDK threw it. */
export async function refused(code, call, explanation) {
  const error = await call().then(
    answer => assert.fail(`expected error ${code} (${explanation ?? ERRORS[code].name}), and got ${JSON.stringify(answer)}`),
    thrown => thrown,
  );
  const said = `${explanation ?? ''} ${error.stack}\n${JSON.stringify(error.response)}`;
  assert.equal(error.response?.code, code, said);
  assert.equal(error.response.name, ERRORS[code].name, said);
  assert.equal(error.status, ERRORS[code].status, said);
  assert.ok(error instanceof (sdk.ErrorClassMap[code] ?? sdk.ApiError), `${said}: not the SDK's class for it`);
  assert.ok(typeof error.response.message === 'string' && error.response.message.length > 0, said);
  assert.ok(!('stack' in error.response) && !/\n\s+at /.test(JSON.stringify(error.response)), `${said}: holds a stack`);
  return error;
}

/** The same of an answer that did not go through the SDK. */
export async function refusedRaw(code, response) {
  const body = await response.json();
  assert.equal(body.code, code, JSON.stringify(body));
  assert.equal(body.name, ERRORS[code].name);
  assert.equal(response.status, ERRORS[code].status);
  return body;
}
