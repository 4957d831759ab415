// What the kit promises besides what the examples show. tests/it/kits.rs runs it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

import { ServiceError, start } from '../index.mjs';
import duration from '../duration.js';

let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tasklane-kit-'));
  await mkdir(join(folder, 'good'));
  await mkdir(join(folder, 'bad'));
  await writeFile(join(folder, 'good/index.js'), 'exports.handler = async task => { console.log("hi"); return task.data; };');
  const config = { name: 'echo', path: '.', entryPoint: 'index.handler', runtime: 'nodejs20.x' };
  await writeFile(join(folder, 'good/task-config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'bad/task-config.json'), '{');
});
after(() => rm(folder, { recursive: true, force: true }));

test('several services run at once and know nothing of each other', async () => {
  const services = await Promise.all([1, 2].map(() => start({ functions: join(folder, 'good') })));
  assert.equal(new Set(services.map(service => service.url)).size, 2);
  const task = await services[0].create('echo', { n: 1 });
  await services[0].drain();
  assert.equal((await services[0].task(task.id)).status, 'complete');
  assert.ok((await services[0].logs(task.id)).some(line => line.includes('hi')));
  assert.deepEqual(await services[1].tasks(), []);
  await Promise.all(services.map(service => service.close()));
});

test('the clock is set to a time to come, and never back', async () => {
  const service = await start();
  const now = await service.clock.now();
  const later = new Date(now.getTime() + 86_400_000);
  await service.clock.advanceTo(later);
  assert.ok((await service.clock.now()) >= later);
  await assert.rejects(service.clock.advanceTo(now), RangeError);
  await service.close();
});

test('a refused request says why', async () => {
  const service = await start();
  await assert.rejects(service.fail('missing', 1), error => {
    assert.ok(error instanceof ServiceError);
    assert.deepEqual([error.status, error.code], [404, 16]);
    assert.match(error.message, /missing/);
    return true;
  });
  await service.close();
});

test('Tasks that are left over are forgiven if the test says so, and closing twice is closing once', async () => {
  const service = await start({ functions: join(folder, 'good') });
  await service.create('echo', null, { startTimestamp: '2100-01-01T00:00:00Z' });
  await service.close({ leftovers: 'ignore' });
  await service.close();
});

test('a Function that cannot be deployed is named', async () => {
  await assert.rejects(start({ functions: [folder] }), /could not be deployed:\n {2}.*bad\/task-config\.json: ./);
});

test('a program that is missing is a clear sentence', async () => {
  await assert.rejects(start({ binary: join(folder, 'tasklane') }), /is not there: install it, or say where it is.*TASKLANE_BIN/);
});

test('an option that is unknown shows what the program said', async () => {
  await assert.rejects(start({ args: ['--wrong'] }), /ended with status 2[^]*--wrong/);
});

test('a service ends with the program that started it, however that ended', async () => {
  const script = `import { start } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)};
    const service = await start();
    console.log(service.url);
    setInterval(() => {}, 1000);`;
  const program = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [url] = await new Promise(resolve => createInterface({ input: program.stdout }).on('line', line => resolve([line])));
  assert.ok((await fetch(`${url}/healthz`)).ok);
  program.kill('SIGKILL');
  for (;;) {
    try {
      await fetch(`${url}/healthz`);
    } catch {
      break;
    }
  }
});

test('a program that forgets to close its service ends nevertheless', async () => {
  const script = `import { start } from ${JSON.stringify(new URL('../index.mjs', import.meta.url).href)}; await start();`;
  const program = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise(resolve => program.on('exit', resolve));
  assert.equal(code, 0);
});

test('durations are whole seconds', () => {
  for (const [text, seconds] of [['90s', 90], ['1h', 3600], ['1h 30m', 5400], ['2d', 172_800], [7, 7], [0, 0]]) {
    assert.equal(duration.seconds(text), seconds, String(text));
  }
  for (const wrong of ['', '1', '1 hour', '-1s', 'h', 1.5, -1, NaN, undefined]) {
    assert.throws(() => duration.seconds(wrong), RangeError, String(wrong));
  }
});
