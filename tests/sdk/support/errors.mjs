// The errors that the SDK throws: its class for the code, and the service's code and name.
import assert from 'node:assert/strict';
import { ERRORS } from './contract.mjs';
import { sdk } from './packages.mjs';

// The SDK keeps only the name of these errors: it replaces the message and drops the rest.
const NAME_ONLY = [104, 108];

/** Fails unless the call is refused with one of these codes. Returns the error that the SDK threw. */
export async function refusedWithOneOf(codes, call, explanation = '') {
  const error = await call().then(
    answer => assert.fail(`expected error ${codes}, and got ${JSON.stringify(answer)} ${explanation}`),
    thrown => thrown,
  );
  const said = `${explanation} ${error.stack}\n${JSON.stringify(error.response)}`;
  const code = codes.find(expected => ERRORS[expected].name === error.name);
  assert.ok(code, `expected error ${codes}: ${said}`);
  assert.ok(error instanceof (sdk.ErrorClassMap[code] ?? sdk.ApiError), `not the SDK's class for it: ${said}`);
  if (!NAME_ONLY.includes(code)) {
    assert.equal(error.response?.code, code, said);
    assert.equal(error.status, ERRORS[code].status, said);
    assert.ok(typeof error.response.message === 'string' && error.response.message.length > 0, said);
    assert.ok(!('stack' in error.response) && !/\n\s+at /.test(JSON.stringify(error.response)), `it holds a stack: ${said}`);
  }
  return error;
}

/** Fails unless the call is refused with this code. Returns the error that the SDK threw. */
export function refused(code, call, explanation) {
  return refusedWithOneOf([code], call, explanation);
}

/** The same for a response that did not go through the SDK. */
export async function refusedRaw(code, response) {
  const body = await response.json();
  assert.equal(body.code, code, JSON.stringify(body));
  assert.equal(body.name, ERRORS[code].name);
  assert.equal(response.status, ERRORS[code].status);
  return body;
}
