// Functions to call, each with a name that no other test has.
import { randomBytes } from 'node:crypto';
import { fflate } from './packages.mjs';
import { exh } from './service.mjs';

/** A name that no other test uses, in this run or another one. */
export function uniqueName(word) {
  return `${word}-${randomBytes(6).toString('hex')}`;
}

/** A zip of these files (`{path: text}`) in base64, as `code` takes it. */
export function zipped(files) {
  const entries = Object.entries(files).map(([path, content]) => [path, Buffer.from(content)]);
  return Buffer.from(fflate.zipSync(Object.fromEntries(entries))).toString('base64');
}

/** What creates a Function whose index.js is `source`; `more` overrides any property. */
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

/** Creates such a Function for the time of the test, and answers its name. */
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

/** Answers what it was given, and who saw it. */
export const ECHO = `exports.handler = async event => ({ event });`;

/** Throws what its data says: `{name, message}`. */
export const THROW = `
exports.handler = async event => {
  const error = new Error(event.data.message);
  if (event.data.name) error.name = event.data.name;
  throw error;
};`;
