// `vitest` runs it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { start } from 'tasklane-testing';

let service;
beforeAll(async () => {
  service = await start({ functions: new URL('../digest', import.meta.url).pathname });
  // The first digest is due at once.
  await service.drain();
}, 60_000);
// Fails if Tasks are left over.
afterAll(() => service.close());

test('there is a digest at once, and six more in an hour', async () => {
  await service.clock.advance('1h');
  const digests = await service.tasks({ functionName: 'digest', status: 'complete' });
  expect(digests).toHaveLength(7);
});

test('a digest is retried when the mail server cannot be reached', async () => {
  await service.fail('digest', 1, { name: 'CONNECTION_ERROR' });
  const task = await service.create('digest', { reader: 'Ada' });
  await service.drain();
  expect(await service.task(task.id)).toMatchObject({ status: 'retried' });
  await service.clock.advance('2s');
  expect(await service.tasks({ status: 'new' })).toEqual([]);
});
