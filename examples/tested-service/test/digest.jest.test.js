// `jest` runs it.
const path = require('node:path');
const { start } = require('tasklane-testing');

let service;
beforeAll(async () => {
  service = await start({ functions: path.join(__dirname, '../digest') });
}, 60_000);
// Fails if Tasks are left over.
afterAll(() => service.close());

test('there is a digest at once, and six more in an hour', async () => {
  await service.clock.advance('1h');
  const digests = await service.tasks({ functionName: 'digest', status: 'complete' });
  expect(digests).toHaveLength(7);
});

test('what a test leaves behind is named', async () => {
  const other = await start({ functions: path.join(__dirname, '../digest') });
  // The first digest is due at once.
  await other.drain();
  const task = await other.create('digest', null, { startTimestamp: '2100-01-01T00:00:00Z' });
  await expect(other.close()).rejects.toMatchObject({ name: 'LeftoverTasksError', tasks: [{ id: task.id }] });
}, 60_000);
