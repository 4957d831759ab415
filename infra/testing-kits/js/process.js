'use strict';

const { spawn } = require('node:child_process');
const { createInterface } = require('node:readline');

/** How much of what the service said is kept for errors. */
const KEPT = 64 * 1024;

/** A `tasklane dev` process. It ends when this process does, because its stdin ends then. */
class Process {
  #child;
  #said = '';
  #ended;
  #lines;

  constructor(binary, args, { env, echo }) {
    this.#child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
    this.#ended = new Promise(resolve => {
      this.#child.once('error', error => resolve({ error }));
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.#child.stderr.setEncoding('utf8').on('data', text => {
      this.#said = (this.#said + text).slice(-KEPT);
      if (echo) {
        process.stderr.write(text);
      }
    });
    // It may be gone before its stdin is closed.
    this.#child.stdin.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout });
  }

  /** Waits for these events, which it prints as lines of JSON. */
  async events(names, patience) {
    const found = {};
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(this.#failed(`was not ready after ${patience} ms`)), patience);
    });
    const all = new Promise((resolve, reject) => {
      this.#lines.on('line', line => {
        try {
          const event = JSON.parse(line);
          found[event.event] = event;
        } catch (error) {
          reject(this.#failed(`printed a line that is not JSON: ${line} (${error.message})`));
        }
        if (names.every(name => found[name])) {
          resolve(found);
        }
      });
    });
    try {
      return await Promise.race([all, late, this.#ended.then(end => Promise.reject(this.#failed(how(end))))]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets Node.js end while it runs. */
  unref() {
    this.#each(part => part.unref?.());
  }

  /** Ends it by ending its stdin, and kills it if that does not help in time. */
  async stop(patience) {
    this.#each(part => part.ref?.());
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), patience);
    this.#child.stdin.end();
    const end = await this.#ended;
    clearTimeout(timer);
    if (end.error || end.code !== 0) {
      throw this.#failed(how(end));
    }
  }

  #each(act) {
    [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr].forEach(act);
  }

  #failed(what) {
    return new Error(`tasklane ${what}\n--- what it said\n${this.#said || '(nothing)'}`);
  }
}

function how({ error, code, signal }) {
  if (error?.code === 'ENOENT') {
    return (
      'is not there: install it, or say where it is with the option `binary` or the environment variable TASKLANE_BIN'
    );
  }
  if (error) {
    return `cannot be started: ${error.message}`;
  }
  return signal ? `was ended by ${signal}` : `ended with status ${code}`;
}

module.exports = { Process };
