// The same module for `import`. It is CommonJS, because Jest loads nothing else without a flag.
import kit from './index.js';

export const { start, TasklaneService, ServiceError, LeftoverTasksError } = kit;
