// Names errors and writes JSON as AWS's runtime client does.

import fs from "node:fs";
import path from "node:path";
import util from "node:util";

import { HAS_CALLBACKS, LAMBDA_RUNTIME_DIR } from "./settings.mjs";

// Half of an emoji that was cut in two: JSON can express it, but most parsers reject it.
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export class RuntimeError extends Error {
  constructor(kind, message, fields = {}) {
    super(message);
    Object.assign(this, fields);
    // Not an own enumerable property, because those are printed with an error.
    Object.defineProperty(this, "name", { value: `Runtime.${kind}` });
  }
}

function looksLikeError(value) {
  const text = (field) => typeof value[field] === "string" && value[field] !== "";
  return util.types.isNativeError(value) || (value && text("name") && text("message") && text("stack"));
}

/** If a part of the AWS SDK is missing, adds to the error why, and how to install it. */
export function explain(error) {
  const [, name] = /'((?:@aws-sdk|@smithy)\/[^']+)'/.exec(error?.message ?? "") ?? [];
  // Only once, even if the error is passed on several times.
  if (name === undefined || error.message.includes("add-sdk") || !["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error.code)) return error;
  const hint = fs.existsSync(path.join(LAMBDA_RUNTIME_DIR, "node_modules"))
    ? "this is not one of the packages that 'tasklane runtimes add-sdk' installs: put it into the package"
    : "Lambda's runtime includes the AWS SDK, this machine's does not: run 'tasklane runtimes add-sdk', or put it into the package";
  error.message = `${error.message.split("\n")[0]}: ${hint}`;
  return error;
}

/** The report to the Runtime API about anything that was thrown. */
export function describe(error) {
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

/** The log entry for an error, with its own fields and those of its causes. */
export function printable(error) {
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

export function serialize(value) {
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
