// Settings from the environment, and differences between the runtimes.

const { AWS_LAMBDA_RUNTIME_API, AWS_EXECUTION_ENV = "", _TASKLANE_RUNTIME_SOCKET: SOCKET } = process.env;
// Hidden from the Function's code.
delete process.env._TASKLANE_RUNTIME_SOCKET;

export const { LAMBDA_RUNTIME_DIR, LAMBDA_TASK_ROOT, _HANDLER } = process.env;
export const [HOST, PORT] = AWS_LAMBDA_RUNTIME_API.split(":");
// A jailed process uses a socket in its own jail for the same API.
export const PLACE = SOCKET === undefined ? { host: HOST, port: Number(PORT), noDelay: true } : { path: SOCKET };
// From nodejs24.x on there are no callbacks, and a response does not wait for an empty event loop.
export const HAS_CALLBACKS = Number(/nodejs(\d+)/.exec(AWS_EXECUTION_ENV)?.[1] ?? 0) < 24;
export const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
export const NOTHING = () => {};
