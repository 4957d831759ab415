// Calls the handler for each invocation, and answers with its result.

import { Writable } from "node:stream";

import * as api from "./api.mjs";
import { serialize } from "./errors.mjs";
import { beginRun, logError } from "./log.mjs";
import { HAS_CALLBACKS, NOTHING, STREAMING } from "./settings.mjs";

let whenIdle = NOTHING;
let initFailed = false;
let onCrash = (error, code) => {
  initFailed = true;
  return api.postInitError(error).finally(() => process.exit(code));
};

function contextOf(headers, extra) {
  const traceId = headers["lambda-runtime-trace-id"];
  if (traceId) process.env._X_AMZN_TRACE_ID = traceId;
  else delete process.env._X_AMZN_TRACE_ID;
  const parsed = (name) => (headers[name] === undefined ? undefined : JSON.parse(headers[name]));
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return Object.assign(extra, {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed("lambda-runtime-client-context"),
    identity: parsed("lambda-runtime-cognito-identity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    tenantId: headers["lambda-runtime-aws-tenant-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

/** Waits for the next invocation. After that, a crash is a failure of the invocation. */
async function next() {
  const invocation = await api.next();
  beginRun(invocation.headers["lambda-runtime-aws-request-id"]);
  onCrash = (error, code) => {
    invocation.answer.fail(error);
    process.exit(code);
  };
  return invocation;
}

/** The handlers of nodejs18.x to nodejs22.x: a promise, a callback, or neither. */
async function invokeWithCallbacks(handler) {
  const { headers, event, answer } = await next();
  const proceed = () => setImmediate(() => invokeWithCallbacks(handler).catch(crashed));
  let waitsForEmptyEventLoop = true;
  let responded = false;
  let finished = false;

  const fail = (error) => {
    logError("Invoke Error", error);
    answer.fail(error);
    proceed();
  };
  const complete = (result) => {
    if (responded) {
      console.error(
        "Invocation has already been reported as done. Cannot call complete more than once per invocation.",
      );
      return;
    }
    responded = true;
    answer.respond(serialize(result));
    proceed();
  };
  // Only the first answer is used. An answer that has no JSON form is not an answer.
  const once = (answerWith) => (...args) => {
    if (finished) return;
    whenIdle = NOTHING;
    answerWith(...args);
    finished = true;
  };
  const isGiven = (error) => error !== undefined && error !== null;
  const callback = once((error, result) => {
    if (isGiven(error)) fail(error);
    else if (!waitsForEmptyEventLoop) complete(result);
    else {
      whenIdle = () => {
        whenIdle = NOTHING;
        setImmediate(() => complete(result));
      };
    }
  });
  const done = once((error, result) => (isGiven(error) ? fail(error) : complete(result)));
  const context = {
    get callbackWaitsForEmptyEventLoop() {
      return waitsForEmptyEventLoop;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      waitsForEmptyEventLoop = value;
    },
    succeed: once((result) => complete(result)),
    fail: once((error) => fail(isGiven(error) ? error : "handled")),
    done,
  };
  // A handler that neither returns a promise nor calls back has finished when the event loop is empty.
  whenIdle = () => {
    whenIdle = NOTHING;
    responded = true;
    answer.respond("null");
    proceed();
  };
  try {
    const result = handler(JSON.parse(event), contextOf(headers, context), callback);
    if (result && typeof result.then === "function") {
      result.then(context.succeed, context.fail).catch(context.fail);
    }
  } catch (error) {
    callback(error);
  }
}

/**
 * Lets the event loop complete one round. Only then does Node report an unhandled rejection, which ends the process
 * from nodejs24.x on. So the run that caused it has not been answered yet and fails, rather than the next one.
 */
function comeRound() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Handlers of nodejs24.x and later: their result is awaited. */
async function invokeAwaited(handler) {
  for (;;) {
    const { headers, event, answer } = await next();
    let result;
    try {
      const returned = await handler(JSON.parse(event), contextOf(headers, {}));
      await comeRound();
      result = serialize(returned);
    } catch (error) {
      await comeRound();
      logError("Invoke Error", error);
      answer.fail(error);
      continue;
    }
    answer.respond(result);
  }
}

async function invokeStreaming(handler) {
  for (;;) {
    const { headers, event, answer } = await next();
    const chunks = [];
    const stream = new Writable({
      decodeStrings: false,
      objectMode: true,
      write(chunk, encoding, done) {
        const text = typeof chunk === "string" || chunk instanceof Uint8Array ? chunk : JSON.stringify(chunk);
        chunks.push(typeof text === "string" ? Buffer.from(text, encoding === "buffer" ? "utf8" : encoding) : text);
        done();
      },
    });
    stream.setContentType = NOTHING;
    const closed = new Promise((resolve) => stream.once("finish", resolve));
    try {
      const result = handler(JSON.parse(event), stream, contextOf(headers, {}));
      if (typeof result?.then !== "function") throw new Error("Streaming does not support non-async handlers.");
      if ((await result) !== undefined) console.warn("Streaming handlers ignore return values.");
      if (!stream.writableEnded) throw new Error("Response stream is not finished.");
      await closed;
      if (!HAS_CALLBACKS) await comeRound();
    } catch (error) {
      if (!HAS_CALLBACKS) await comeRound();
      logError("Invoke Error", error);
      answer.fail(error);
      continue;
    }
    answer.respond(Buffer.concat(chunks));
  }
}

/** Ends the process. The invocation in progress fails, or else the initialisation does. */
export function crash(error, code) {
  onCrash(error, code);
}

/** Called when the event loop is empty. */
export function idle() {
  whenIdle();
}

export function crashed(error) {
  logError("Uncaught Exception", error);
  onCrash(error, 129);
}

/** Starts to run invocations with this handler. */
export function serve(handler) {
  const invoke = handler[STREAMING] ? invokeStreaming : HAS_CALLBACKS ? invokeWithCallbacks : invokeAwaited;
  // An unhandled rejection during loading is noticed first and fails the initialisation. If the next event were
  // requested before that is reported, it would fail a run.
  setImmediate(() => initFailed || invoke(handler).catch(crashed));
}
