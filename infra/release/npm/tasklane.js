#!/usr/bin/env node
// Runs the program of this platform's package.
'use strict';

const { spawn } = require('node:child_process');

const name = `@tasklane/${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${name}/bin/tasklane`);
} catch {
  console.error(
    `tasklane: the package ${name} is not installed. tasklane runs on Linux, on x64 and arm64 with glibc; ` +
      'if this is such a machine, install again without --omit=optional.'
  );
  process.exit(2);
}
const child = spawn(program, process.argv.slice(2), { stdio: 'inherit' });
// A terminal sends Ctrl-C to both; the program decides when to end. Others send signals only to this process.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('error', error => {
  console.error(`tasklane: ${program} cannot be started: ${error.message}`);
  process.exit(2);
});
child.on('exit', (code, signal) => {
  if (signal) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  } else {
    process.exit(code);
  }
});
