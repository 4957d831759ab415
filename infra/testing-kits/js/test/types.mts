// Compiled by tests/it/kits.rs, never run.
import { LeftoverTasksError, ServiceError, start, type Advanced, type Task } from '../index.mjs';

const service = await start({ functions: ['a', 'b'], leftovers: 'ignore', env: { NAME: 'value' } });
const task: Task = await service.create('a', { x: 1 }, { priority: 3 });
const advanced: Advanced = await service.clock.advance('1h 30m');
const tomorrow: Advanced = await service.clock.advanceTo(new Date());
const { n } = await service.execute<{ n: number }>('a', { x: 1 });
await service.fail('a', 2, { name: 'CONNECTION_ERROR' });
try {
  await service.close({ leftovers: 'fail' });
} catch (error) {
  if (error instanceof LeftoverTasksError) {
    const id: string = error.tasks[0].id;
    void id;
  } else if (error instanceof ServiceError) {
    const status: number = error.status;
    void status;
  }
}
void [task.status === 'complete', advanced.runs, tomorrow.timestamp, n];
