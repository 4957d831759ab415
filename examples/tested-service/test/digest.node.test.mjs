// `node --test` runs it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { start } from 'tasklane-testing';

let service;
before(async () => {
  service = await start({ functions: new URL('../digest', import.meta.url).pathname });
  // The first digest is due at once.
  await service.drain();
});
// Fails if Tasks are left over.
after(() => service.close());

test('there is a digest at once, and six more in an hour', async () => {
  await service.clock.advance('1h');
  const digests = await service.tasks({ functionName: 'digest' });
  assert.deepEqual(
    digests.map(task => task.status),
    Array(7).fill('complete')
  );
});

test('a digest is retried twice when the mail server cannot be reached', async () => {
  await service.fail('digest', 2, { name: 'CONNECTION_ERROR' });
  const task = await service.create('digest', { reader: 'Ada' });
  // Its retries come after 2 and after 5 seconds.
  await service.clock.advance('8s');
  const attempts = await service.request('GET', `/tasklane/v1/tasks/${task.id}/attempts`);
  assert.deepEqual(
    attempts.data.map(attempt => attempt.status),
    ['retried', 'retried', 'complete']
  );
});

test('it says to whom it was sent', async () => {
  assert.deepEqual(await service.execute('digest', { reader: 'Bob' }), { sentTo: 'Bob' });
});
