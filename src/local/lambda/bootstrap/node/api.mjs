// Requests to the Runtime API.

import { Connection } from "./connection.mjs";
import { describe } from "./errors.mjs";

const JSON_BODY = "Content-Type: application/json";

const connection = await Connection.open();

function errorType(error) {
  return `Lambda-Runtime-Function-Error-Type: ${encodeURI(describe(error).errorType)}`;
}

/** Reports that the initialisation failed. */
export function postInitError(error) {
  return connection.ask("POST", "/init/error", [JSON_BODY, errorType(error)], JSON.stringify(describe(error)));
}

/** Answers one invocation. */
class Answer {
  constructor(requestId) {
    this.route = `/invocation/${encodeURIComponent(requestId)}`;
  }

  respond(body) {
    connection.tell("POST", `${this.route}/response`, [JSON_BODY], body);
  }

  fail(error) {
    connection.tell("POST", `${this.route}/error`, [JSON_BODY, errorType(error)], JSON.stringify(describe(error)));
  }
}

/** Waits for the next invocation: its headers, its event, and an object to answer it with. */
export async function next() {
  const { headers, body } = await connection.ask("GET", "/invocation/next", []);
  return { headers, event: body, answer: new Answer(headers["lambda-runtime-aws-request-id"]) };
}
