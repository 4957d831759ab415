// Runs a Function's handler under Node.js, as AWS's runtime client does (npm aws-lambda-ric: 3.x for nodejs18.x to
// nodejs22.x, 4.x from nodejs24.x on): the same ways to find a handler, names of errors, context and log lines.

import { createRequire } from "node:module";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import util from "node:util";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const require = createRequire(import.meta.url);
const { AWS_LAMBDA_RUNTIME_API, LAMBDA_RUNTIME_DIR, LAMBDA_TASK_ROOT, _HANDLER, AWS_EXECUTION_ENV = "" } = process.env;
const [HOST, PORT] = AWS_LAMBDA_RUNTIME_API.split(":");
// Where the process is jailed: the same API, in its own jail.
const SOCKET = process.env._TASKLANE_RUNTIME_SOCKET;
delete process.env._TASKLANE_RUNTIME_SOCKET;
const PLACE = SOCKET === undefined ? { host: HOST, port: Number(PORT), noDelay: true } : { path: SOCKET };
const API = "/2018-06-01/runtime";
const JSON_BODY = "Content-Type: application/json";
const NOTHING = () => {};
// From nodejs24.x on there are no callbacks, and a response does not wait for the event loop.
const HAS_CALLBACKS = Number(/nodejs(\d+)/.exec(AWS_EXECUTION_ENV)?.[1] ?? 0) < 24;
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
// What is left of an emoji that was cut in two: JSON can say it, and most who read JSON refuse it.
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

// --- Errors ----------------------------------------------------------------------------------------------------------

class RuntimeError extends Error {
  constructor(kind, message, fields = {}) {
    super(message);
    Object.assign(this, fields);
    // Not an own enumerable property: those are printed with an error.
    Object.defineProperty(this, "name", { value: `Runtime.${kind}` });
  }
}

function looksLikeError(value) {
  const text = (field) => typeof value[field] === "string" && value[field] !== "";
  return util.types.isNativeError(value) || (value && text("name") && text("message") && text("stack"));
}

/** Says of a part of the AWS SDK that is not found why that is so here, and what to do. */
function explain(error) {
  const [, name] = /'((?:@aws-sdk|@smithy)\/[^']+)'/.exec(error?.message ?? "") ?? [];
  // It is said once, however often an error is passed on.
  if (name === undefined || error.message.includes("add-sdk") || !["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error.code)) return error;
  const hint = fs.existsSync(path.join(LAMBDA_RUNTIME_DIR, "node_modules"))
    ? "it is not a part that 'tasklane runtimes add-sdk' installs: put it into the package"
    : "Lambda's runtime has the AWS SDK, and this machine's has it once you run 'tasklane runtimes add-sdk', or put it into the package";
  error.message = `${error.message.split("\n")[0]}: ${hint}`;
  return error;
}

/** What the Runtime API is told of an error, whatever was thrown. */
function describe(error) {
  const clean = (text) => text?.replace(/\x7F/g, "%7F").replace(LONE_SURROGATE, "\ufffd");
  try {
    if (!looksLikeError(error)) {
      return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
    }
    return { errorType: clean(error.name), errorMessage: clean(error.message), trace: clean(error.stack).split("\n") };
  } catch {
    return {
      errorType: "handled",
      errorMessage:
        "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
    };
  }
}

/** What the log is told of an error: its own fields too, and those of its causes. */
function printable(error) {
  const expand = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const shown = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
    if (typeof value.stack === "string") shown.stack = value.stack.split("\n");
    return shown;
  };
  try {
    return JSON.stringify(error, expand);
  } catch {
    return JSON.stringify(describe(error));
  }
}

function serialize(value) {
  let text;
  try {
    text = JSON.stringify(value === undefined ? null : value);
  } catch {
    if (HAS_CALLBACKS) throw new Error("Unable to stringify response body");
    throw new RuntimeError("JSONStringifyError", "Unable to stringify response body");
  }
  // A function or a symbol has no JSON form at all.
  if (text === undefined) throw new TypeError("Wrong arguments");
  return text;
}

// --- Log -------------------------------------------------------------------------------------------------------------

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const setting = (name) => process.env[`AWS_LAMBDA_LOG_${name}`]?.toUpperCase();
const LOGS_JSON = setting("FORMAT") === "JSON";
const LOWEST_LEVEL = Math.max(0, LEVELS.indexOf(setting("LEVEL")));

let currentRequestId = HAS_CALLBACKS ? "undefined" : "-";

/**
 * Writes with blocking calls, past Node's streams: those keep what a full pipe does not take, and send it on when the
 * event loop comes round, which may be in another run.
 */
function writeNow(fd, data) {
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  for (let sent = 0; sent < bytes.length; ) {
    sent += retry(() => fs.writeSync(fd, bytes, sent));
  }
}

/** Has `process.stdout` and `process.stderr` write like the console, once somebody asks for them. */
function patchStreams() {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    const original = Object.getOwnPropertyDescriptor(process, name);
    let stream;
    const get = () => (stream ??= writingNow(original.get.call(process), fd));
    Object.defineProperty(process, name, { ...original, get });
  }
}

function writingNow(stream, fd) {
  // Node makes the pipe non-blocking when it opens the stream, for all who write to it.
  stream._handle?.setBlocking?.(true);
  const write = (chunks, done) => {
    try {
      for (const { chunk, encoding } of chunks) {
        writeNow(fd, typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk);
      }
    } catch (error) {
      done(error);
      return;
    }
    done();
  };
  stream._write = (chunk, encoding, done) => write([{ chunk, encoding }], done);
  stream._writev = write;
  return stream;
}

function log(level, ...params) {
  const timestamp = new Date().toISOString();
  const line = LOGS_JSON
    ? jsonEntry(timestamp, level, params)
    : [timestamp, currentRequestId, level, util.format(...params)].join("\t");
  try {
    // One call is one entry of the log, however many lines it has: whoever reads the pipe turns \r back.
    writeNow(1, line.replace(/\n/g, "\r") + "\n");
  } catch {
    // Code that closed its standard output logs nothing, and goes on.
  }
}

function jsonEntry(timestamp, level, params) {
  const requestId = currentRequestId === "undefined" ? undefined : currentRequestId;
  const entry = { timestamp, level, requestId };
  const named = (error) => ({
    errorType: error.constructor?.name ?? "UnknownError",
    errorMessage: error.message,
    stackTrace: typeof error.stack === "string" ? error.stack.split("\n") : [],
  });
  if (params.length === 1) {
    try {
      const expand = (_key, value) => (value instanceof Error ? { ...named(value), ...value } : value);
      return JSON.stringify({ ...entry, message: params[0] }, expand);
    } catch {
      return JSON.stringify({ ...entry, message: util.format(params[0]) });
    }
  }
  const error = params.find((param) => param instanceof Error);
  return JSON.stringify({ ...entry, message: util.format(...params), ...(error && named(error)) });
}

function patchConsole() {
  LEVELS.forEach((level, rank) => {
    // Nothing that is passed must still be one argument: without any, Lambda logs `undefined`.
    const write = (message, ...params) => log(level, message, ...params);
    console[level.toLowerCase()] = rank < LOWEST_LEVEL ? NOTHING : write;
  });
  console.log = console.info;
}

function logError(what, thrown) {
  const error = thrown instanceof Error ? explain(thrown) : new Error(thrown);
  if (LOGS_JSON) console.error(error);
  else console.error(what, `\t${printable(error)}`);
}

// --- Runtime API -----------------------------------------------------------------------------------------------------

/**
 * The one connection to the Runtime API, past node:http, which costs more than most handlers do.
 *
 * Requests are written with blocking calls, past the event loop: what was answered has left when the call returns, so
 * code that exits right after its callback has answered all the same. Nobody waits for what the API says to that; its
 * replies come in the order of the requests.
 */
class Connection {
  static async open() {
    const socket = net.connect(PLACE);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Connection(socket);
  }

  #socket;
  /** Who waits for the replies to come, the oldest first. */
  #waiting = [];
  #chunks = [];
  #size = 0;
  /** How many bytes are needed to go on. */
  #needed = 1;
  #headers;
  #bodyStart = 0;

  constructor(socket) {
    this.#socket = socket;
    socket.unref();
    socket.on("data", (bytes) => this.#receive(bytes));
    socket.on("error", (error) => this.#break(error));
    socket.on("close", () => this.#break(new Error("the Runtime API closed the connection")));
  }

  /** Asks, and waits for the reply; the process lives at least as long. */
  ask(method, route, headers, body) {
    this.#socket.ref();
    const reply = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#write(method, route, headers, body);
    return reply.finally(() => this.#socket.unref());
  }

  /** Tells; has told when it returns. */
  tell(method, route, headers, body) {
    this.#waiting.push({ resolve: NOTHING, reject: NOTHING });
    this.#write(method, route, headers, body);
  }

  #write(method, route, headers, body = "") {
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body, "utf8");
    const lines = [`${method} ${API}${route} HTTP/1.1`, `Host: ${HOST}:${PORT}`, ...headers];
    if (method !== "GET") lines.push(`Content-Length: ${bytes.length}`);
    const head = Buffer.from(lines.join("\r\n") + "\r\n\r\n", "latin1");
    const request = bytes.length === 0 ? head : Buffer.concat([head, bytes]);
    const fd = this.#socket._handle?.fd;
    if (fd === undefined) throw new Error("the Runtime API closed the connection");
    for (let sent = 0; sent < request.length; ) {
      sent += retry(() => fs.writeSync(fd, request, sent));
    }
  }

  #receive(bytes) {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    while (this.#size >= this.#needed) {
      const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
      this.#chunks = [all];
      if (this.#headers === undefined) {
        const end = all.indexOf("\r\n\r\n");
        if (end < 0) {
          this.#needed = this.#size + 1;
          return;
        }
        this.#headers = {};
        for (const line of all.toString("latin1", 0, end).split("\r\n").slice(1)) {
          const colon = line.indexOf(":");
          this.#headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
        }
        this.#bodyStart = end + 4;
        this.#needed = this.#bodyStart + Number(this.#headers["content-length"] ?? 0);
        continue;
      }
      const reply = { headers: this.#headers, body: all.toString("utf8", this.#bodyStart, this.#needed) };
      const rest = all.subarray(this.#needed);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#size = rest.length;
      this.#needed = 1;
      this.#headers = undefined;
      this.#waiting.shift()?.resolve(reply);
    }
  }

  #break(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

function retry(call) {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

function errorType(error) {
  return `Lambda-Runtime-Function-Error-Type: ${encodeURI(describe(error).errorType)}`;
}

function postInitError(error) {
  return api.ask("POST", "/init/error", [JSON_BODY, errorType(error)], JSON.stringify(describe(error)));
}

/** The answer to one invocation. */
class Answer {
  constructor(requestId) {
    this.route = `/invocation/${encodeURIComponent(requestId)}`;
  }

  respond(body) {
    api.tell("POST", `${this.route}/response`, [JSON_BODY], body);
  }

  fail(error) {
    api.tell("POST", `${this.route}/error`, [JSON_BODY, errorType(error)], JSON.stringify(describe(error)));
  }
}

// --- Handler ---------------------------------------------------------------------------------------------------------

function isModulePackage(folder) {
  if (folder.endsWith("/node_modules")) return false;
  const manifest = path.join(folder, "package.json");
  if (fs.existsSync(manifest)) {
    try {
      return JSON.parse(fs.readFileSync(manifest, "utf8"))?.type === "module";
    } catch (error) {
      console.warn(`${manifest} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return folder === "/" ? false : isModulePackage(path.dirname(folder));
}

async function loadModule(folder, name) {
  const file = path.resolve(LAMBDA_TASK_ROOT, folder, name);
  const exists = (extension) => fs.existsSync(file + extension);
  const imported = (extension) => import(pathToFileURL(file + extension).href);
  // A module whose exports are falsy is passed over, as if its file were not there.
  if (exists("")) {
    const loaded = require(file);
    if (loaded) return loaded;
  }
  if (exists(".js")) {
    const loaded = isModulePackage(path.dirname(file)) ? await imported(".js") : require(file + ".js");
    if (loaded) return loaded;
  }
  if (exists(".mjs")) return imported(".mjs");
  if (exists(".cjs")) {
    const loaded = require(file + ".cjs");
    if (loaded) return loaded;
  }
  return require(require.resolve(name, { paths: [LAMBDA_TASK_ROOT, folder] }));
}

async function loadHandler() {
  if (_HANDLER.includes("..")) {
    const rule = "Use absolute paths when specifying root directories in handler names.";
    throw new RuntimeError("MalformedHandlerName", `'${_HANDLER}' is not a valid handler name. ${rule}`);
  }
  const base = path.basename(_HANDLER);
  const folder = _HANDLER.substring(0, _HANDLER.indexOf(base));
  const [, name, route] = /^([^.]*)\.(.*)$/.exec(base) ?? [];
  if (name === undefined) throw new RuntimeError("MalformedHandlerName", "Bad handler");

  let loaded;
  try {
    loaded = await loadModule(folder, name);
  } catch (error) {
    explain(error);
    if (error instanceof SyntaxError) {
      throw Object.assign(new RuntimeError("UserCodeSyntaxError", String(error)), { stack: error.stack });
    }
    if (error?.code === "MODULE_NOT_FOUND") throw new RuntimeError("ImportModuleError", String(error));
    throw error;
  }
  const handler = route.split(".").reduce((object, key) => object && object[key], loaded);
  if (!handler) throw new RuntimeError("HandlerNotFound", `${_HANDLER} is undefined or not exported`);
  if (typeof handler !== "function") throw new RuntimeError("HandlerNotFound", `${_HANDLER} is not a function`);
  if (!HAS_CALLBACKS && handler.length >= 3 && !handler[STREAMING]) {
    const advice =
      "You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.";
    const message = `ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ${advice}`;
    throw new RuntimeError("CallbackHandlerDeprecated", message);
  }
  return handler;
}

/** `awslambda`, which handlers that stream their response find. Here the stream is collected and sent as a whole. */
function defineGlobals() {
  globalThis.awslambda = {
    streamifyResponse: (handler) => Object.assign(handler, { [STREAMING]: "response" }),
    HttpResponseStream: {
      from(stream, prelude) {
        stream.setContentType("application/vnd.awslambda.http-integration-response");
        stream.write(JSON.stringify(prelude));
        stream.write(new Uint8Array(8));
        return stream;
      },
    },
  };
}

// --- Invocations -----------------------------------------------------------------------------------------------------

let whenIdle = NOTHING;
let initFailed = false;
let onCrash = (error, code) => {
  initFailed = true;
  return postInitError(error).finally(() => process.exit(code));
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

/** Waits for the next invocation. */
async function next() {
  const { headers, body } = await api.ask("GET", "/invocation/next", []);
  currentRequestId = headers["lambda-runtime-aws-request-id"];
  const answer = new Answer(currentRequestId);
  onCrash = (error, code) => {
    answer.fail(error);
    process.exit(code);
  };
  return { headers, event: body, answer };
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
  // The first answer counts. One that cannot be given (no JSON form) has not been given.
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
  // A handler that neither returns a promise nor calls back is over when nothing is left to do.
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
 * Lets the event loop come round. Only then does Node say that a promise was lost, which ends the process from nodejs24.x
 * on: so the run that lost it has no answer yet, and it is not the next one that fails.
 */
function comeRound() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The handlers of nodejs24.x and later: what they return, awaited. */
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

function crashed(error) {
  logError("Uncaught Exception", error);
  onCrash(error, 129);
}

patchConsole();
patchStreams();
if (HAS_CALLBACKS) {
  process.on("uncaughtException", crashed);
  process.on("unhandledRejection", (reason, promise) => {
    const error = new RuntimeError("UnhandledPromiseRejection", reason, { reason, promise });
    logError("Unhandled Promise Rejection", error);
    onCrash(error, 128);
  });
  process.on("beforeExit", () => whenIdle());
}
defineGlobals();
const api = await Connection.open();
try {
  const handler = await loadHandler();
  const invoke = handler[STREAMING] ? invokeStreaming : HAS_CALLBACKS ? invokeWithCallbacks : invokeAwaited;
  // A promise that was lost while loading is noticed first, and is an error of the initialisation: asking for an event
  // while that is being told would make it one of a run.
  setImmediate(() => initFailed || invoke(handler).catch(crashed));
} catch (error) {
  logError(HAS_CALLBACKS ? "Uncaught Exception" : "Init Error", error);
  onCrash(error, HAS_CALLBACKS ? 129 : 1);
}
