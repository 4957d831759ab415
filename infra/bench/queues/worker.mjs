// Works on the jobs of a peer: node worker.mjs PEER [PORT]. Says "ready" once it does.
import { peers } from './peers.mjs';

const [name, port] = process.argv.slice(2);
await peers[name].work(Number(port));
console.log('ready');
