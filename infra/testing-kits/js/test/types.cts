// Compiled by tests/it/kits.rs, never run.
import kit = require('../index.js');

export const drained: Promise<kit.Advanced> = kit.start().then(service => service.drain());
