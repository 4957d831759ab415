// What BullMQ runs in processes of its own.
import { noop } from './peers.mjs';

export default async job => noop(job.data);
