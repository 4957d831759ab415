// The packages that infra/js pins. They are installed outside the source tree, so `import` cannot find them by name:
// `require` from the folder that the harness names loads the same files that an `import` there would.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const folder = process.env.TASKLANE_TEST_PACKAGES;
if (!folder) {
  throw new Error('TASKLANE_TEST_PACKAGES names no folder: run this suite through `cargo test --test it sdk`.');
}
const require = createRequire(join(folder, 'package.json'));

export const sdk = require('@extrahorizon/javascript-sdk');
export const fflate = require('fflate');
