'use strict';

const { mkdtemp, readFile, rm } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const { seconds } = require('./duration.js');
const { Process } = require('./process.js');

/** The service refused a request. */
class ServiceError extends Error {
  constructor(method, path, status, body) {
    super(`${method} ${path}: ${status} ${body?.name ?? ''} ${body?.message ?? ''}`.trimEnd());
    this.name = 'ServiceError';
    this.status = status;
    this.code = body?.code;
    this.body = body;
  }
}

/** Tasks were waiting or running when the service was closed. */
class LeftoverTasksError extends Error {
  constructor(tasks) {
    const lines = tasks.map(task => `  ${task.functionName} ${task.id}: ${task.status}, due ${task.startTimestamp}`);
    super(
      `${tasks.length} Tasks were left over:\n${lines.join('\n')}\n` +
        "Run them with drain() or clock.advance(), cancel them, or close the service with { leftovers: 'ignore' }."
    );
    this.name = 'LeftoverTasksError';
    this.tasks = tasks;
  }
}

/** Starts a service of its own for tests, and waits until its Functions are there. */
async function start(options = {}) {
  const { functions = [], binary, args = [], env = {}, leftovers = 'fail', patience = 60_000, echo = false } = options;
  const folder = await mkdtemp(join(tmpdir(), 'tasklane-testing-'));
  const process_ = new Process(
    binary ?? process.env.TASKLANE_BIN ?? 'tasklane',
    [
      ...['dev', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data')],
      ...['--test-clock', '--json', '--until-eof', '--no-console', '--quiet'],
      ...args,
      '--',
      // A folder without Functions, unless there are some: by default it would search the working directory.
      ...(functions.length > 0 ? [functions].flat() : [folder]),
    ],
    { env: { ...process.env, ...env }, echo }
  );
  try {
    const { listening, ready } = await process_.events(['listening', 'ready'], patience);
    if (ready.refused.length > 0) {
      const lines = ready.refused.map(({ file, message }) => `  ${file}: ${message}`);
      throw new Error(`these Functions could not be deployed:\n${lines.join('\n')}`);
    }
    const credentials = variables(await readFile(listening.credentials, 'utf8'));
    process_.unref();
    return new TasklaneService(process_, folder, listening.url, credentials, leftovers);
  } catch (error) {
    await process_.stop(5_000).catch(() => {});
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** A running service. */
class TasklaneService {
  #process;
  #folder;
  #leftovers;
  #closed;

  constructor(process_, folder, url, env, leftovers) {
    this.#process = process_;
    this.#folder = folder;
    this.#leftovers = leftovers;
    this.url = url;
    this.env = env;
    this.clock = {
      advance: duration => this.#advance(duration),
      advanceTo: time => this.#advanceTo(time),
      now: () => this.#now(),
    };
  }

  /** Runs what is due, until nothing is due and nothing runs. */
  async drain() {
    return this.#advance(0);
  }

  /** Creates a Task. */
  async create(functionName, data, options = {}) {
    return this.request('POST', '/tasks/v1/', { functionName, data, ...options });
  }

  /** Runs a Function and returns its result. */
  async execute(functionName, data, options = {}) {
    const path = `/tasks/v1/functions/${encodeURIComponent(functionName)}/execute`;
    return (await this.request('POST', path, { data, ...options })).result;
  }

  /** The Tasks that match, the oldest first. */
  async tasks(filter = {}) {
    const conditions = Object.entries(filter).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    const found = [];
    for (;;) {
      const window = `sort(creationTimestamp)&limit(100,${found.length})`;
      const page = await this.request('GET', `/tasks/v1/?${[...conditions, window].join('&')}`);
      found.push(...page.data);
      if (page.data.length < 100) {
        return found;
      }
    }
  }

  /** One Task as it is now. */
  async task(id) {
    return this.request('GET', `/tasklane/v1/tasks/${encodeURIComponent(id)}`);
  }

  /** What a Task logged. */
  async logs(id) {
    return (await this.request('GET', `/tasks/v1/${encodeURIComponent(id)}/logs`)).data.map(line => line.message);
  }

  /** Lets the next runs of a Function fail, without running its code. */
  async fail(functionName, times = 1, error = undefined) {
    return this.request('POST', '/tasklane/v1/test/fail', { functionName, times, error });
  }

  /** Sends any request as the service's administrator. */
  async request(method, path, body) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.env.API_ACCESS_TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    const answer = json(text);
    if (!response.ok) {
      throw new ServiceError(method, path, response.status, answer);
    }
    return answer;
  }

  /** Ends the service and removes its data; once, however often it is called. */
  async close({ leftovers = this.#leftovers } = {}) {
    this.#closed ??= this.#close(leftovers);
    return this.#closed;
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }

  async #close(leftovers) {
    let left = [];
    try {
      if (leftovers !== 'ignore') {
        left = [...(await this.tasks({ status: 'inProgress' })), ...(await this.tasks({ status: 'new' }))];
      }
    } finally {
      try {
        await this.#process.stop(30_000);
      } finally {
        await rm(this.#folder, { recursive: true, force: true });
      }
    }
    if (left.length > 0) {
      throw new LeftoverTasksError(left);
    }
  }

  async #now() {
    return new Date((await this.#advance(0)).timestamp);
  }

  async #advanceTo(time) {
    const ahead = new Date(time).getTime() - (await this.#now()).getTime();
    if (!(ahead >= 0)) {
      throw new RangeError(`${time} is not a time to come: the clock is set forward only`);
    }
    return this.#advance(Math.ceil(ahead / 1000));
  }

  async #advance(duration) {
    return this.request('POST', '/tasklane/v1/test/clock', { advance: seconds(duration) });
  }
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The lines NAME=value of a file. */
function variables(text) {
  const lines = text.split('\n').map(line => line.match(/^([A-Z_0-9]+)=(.*)$/));
  return Object.fromEntries(lines.filter(Boolean).map(([, name, value]) => [name, value]));
}

module.exports = { start, TasklaneService, ServiceError, LeftoverTasksError };
