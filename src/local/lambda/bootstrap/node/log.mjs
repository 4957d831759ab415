// Replaces the console and the standard streams, as AWS's runtime client does.

import fs from "node:fs";
import util from "node:util";

import { retry } from "./blocking.mjs";
import { explain, printable } from "./errors.mjs";
import { HAS_CALLBACKS, NOTHING } from "./settings.mjs";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const setting = (name) => process.env[`AWS_LAMBDA_LOG_${name}`]?.toUpperCase();
const LOGS_JSON = setting("FORMAT") === "JSON";
const LOWEST_LEVEL = Math.max(0, LEVELS.indexOf(setting("LEVEL")));

let currentRequestId = HAS_CALLBACKS ? "undefined" : "-";

/** From now on entries belong to this run. */
export function beginRun(requestId) {
  currentRequestId = requestId;
}

/**
 * Writes with blocking calls instead of Node's streams: if the pipe is full, those write later, when the event loop
 * continues, which may be in another run.
 */
function writeNow(fd, data) {
  const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
  for (let sent = 0; sent < bytes.length; ) {
    sent += retry(() => fs.writeSync(fd, bytes, sent));
  }
}

/** Makes `process.stdout` and `process.stderr` write like the console, when the code first uses them. */
export function patchStreams() {
  for (const [name, fd] of [["stdout", 1], ["stderr", 2]]) {
    const original = Object.getOwnPropertyDescriptor(process, name);
    let stream;
    const get = () => (stream ??= writingNow(original.get.call(process), fd));
    Object.defineProperty(process, name, { ...original, get });
  }
}

function writingNow(stream, fd) {
  // When Node opens the stream, it makes the pipe non-blocking for all writers.
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
    // One call is one log entry, even if it has several lines: the reader of the pipe turns \r back into a line break.
    writeNow(1, line.replace(/\n/g, "\r") + "\n");
  } catch {
    // If the code has closed its standard output, nothing is logged, and it goes on.
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

export function patchConsole() {
  LEVELS.forEach((level, rank) => {
    // One argument even if none is passed: then Lambda logs `undefined`.
    const write = (message, ...params) => log(level, message, ...params);
    console[level.toLowerCase()] = rank < LOWEST_LEVEL ? NOTHING : write;
  });
  console.log = console.info;
}

export function logError(what, thrown) {
  const error = thrown instanceof Error ? explain(thrown) : new Error(thrown);
  if (LOGS_JSON) console.error(error);
  else console.error(what, `\t${printable(error)}`);
}
