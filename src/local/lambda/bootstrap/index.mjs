// Runs a Function's handler under Node.js, as AWS's runtime client does (npm aws-lambda-ric: 3.x for nodejs18.x to
// nodejs22.x, 4.x from nodejs24.x on): the same handlers, error names, context and log lines.

import { RuntimeError } from "./node/errors.mjs";
import { defineGlobals, loadHandler } from "./node/handler.mjs";
import { crash, crashed, idle, serve } from "./node/invocations.mjs";
import { logError, patchConsole, patchStreams } from "./node/log.mjs";
import { HAS_CALLBACKS } from "./node/settings.mjs";

patchConsole();
patchStreams();
if (HAS_CALLBACKS) {
  process.on("uncaughtException", crashed);
  process.on("unhandledRejection", (reason, promise) => {
    const error = new RuntimeError("UnhandledPromiseRejection", reason, { reason, promise });
    logError("Unhandled Promise Rejection", error);
    crash(error, 128);
  });
  process.on("beforeExit", idle);
}
defineGlobals();
try {
  serve(await loadHandler());
} catch (error) {
  logError(HAS_CALLBACKS ? "Uncaught Exception" : "Init Error", error);
  crash(error, HAS_CALLBACKS ? 129 : 1);
}
