// Finds the handler in the same way as AWS's runtime client.

import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { RuntimeError, explain } from "./errors.mjs";
import { HAS_CALLBACKS, LAMBDA_TASK_ROOT, STREAMING, _HANDLER } from "./settings.mjs";

const require = createRequire(new URL("../index.mjs", import.meta.url));

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
  // A module with falsy exports is ignored, as if its file did not exist.
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

/** Returns the function that `_HANDLER` names. */
export async function loadHandler() {
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

/** `awslambda`, for handlers that stream their response. Here the stream is collected and sent in one piece. */
export function defineGlobals() {
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
