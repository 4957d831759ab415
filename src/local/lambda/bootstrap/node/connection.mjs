// The connection to the Runtime API.

import fs from "node:fs";
import net from "node:net";

import { retry } from "./blocking.mjs";
import { HOST, NOTHING, PLACE, PORT } from "./settings.mjs";

const API = "/2018-06-01/runtime";

/**
 * The only connection to the Runtime API. It does not use node:http, which takes longer than most handlers.
 *
 * Requests are written with blocking calls instead of by the event loop: an answer is sent when the call returns, even
 * if the code exits right after its callback. Nothing waits for the replies to answers; they arrive in the order of the
 * requests.
 */
export class Connection {
  static async open() {
    const socket = net.connect(PLACE);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Connection(socket);
  }

  #socket;
  /** The requests without a reply, oldest first. */
  #waiting = [];
  #chunks = [];
  #size = 0;
  /** How many bytes must arrive before parsing continues. */
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

  /** Sends a request and waits for the reply, which keeps the process alive. */
  ask(method, route, headers, body) {
    this.#socket.ref();
    const reply = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#write(method, route, headers, body);
    return reply.finally(() => this.#socket.unref());
  }

  /** Sends a request without waiting for the reply. It has been sent when this returns. */
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
