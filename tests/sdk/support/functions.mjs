// Functions to call, each with a unique name.
import { randomBytes } from 'node:crypto';
import { fflate } from './packages.mjs';
import { exh } from './service.mjs';

/** A name that no other test uses, in this run or any other. */
export function uniqueName(word) {
  return `${word}-${randomBytes(6).toString('hex')}`;
}

/** A zip of these files (`{path: text}`) in base64, for `code`. */
export function zipped(files) {
  const entries = Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]);
  return Buffer.from(fflate.zipSync(Object.fromEntries(entries))).toString('base64');
}

/** The body that creates a Function whose index.js is `source`; `more` overrides any property. */
export function definition(source, more = {}) {
  return {
    name: uniqueName('function'),
    code: zipped({ 'index.js': source }),
    entryPoint: 'index.handler',
    runtime: 'nodejs20.x',
    timeLimit: 20,
    ...more,
  };
}

/** Creates such a Function until the test ends, and returns its name. */
export async function deploy(t, source, more = {}) {
  const body = definition(source, more);
  await exh.tasks.functions.create(body);
  t.after(() => exh.tasks.functions.remove(body.name).catch(alreadyRemoved));
  return body.name;
}

function alreadyRemoved(error) {
  if (error.response?.code !== 16) {
    throw error;
  }
}

/** Returns its event, as `{ event }`. */
export const ECHO = `exports.handler = async event => ({ event });`;

/** Throws the error in its data: `{name, message}`. */
export const THROW = `
exports.handler = async event => {
  const error = new Error(event.data.message);
  if (event.data.name) error.name = event.data.name;
  throw error;
};`;
