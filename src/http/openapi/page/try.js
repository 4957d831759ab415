// Trying calls: a form for each operation, made when its fold is opened. Nothing is sent before a click. What a call returns
// is text, never HTML.

/** How much of a response is shown, in bytes. */
const MOST = 200_000;
const HEADERS = ["content-type", "content-length", "x-request-id", "idempotent-replayed", "retry-after", "location"];
/** Below this the service is: nothing, or the stage of an API Gateway. */
const base = location.pathname.replace(/\/docs\/?$/, "");

/** The token, in this variable and in the fields that show it, and nowhere else. */
let token = "";
const tokenFields = new Set();
function setToken(value) {
  token = value;
  for (const input of tokenFields) if (input.value !== value) input.value = value;
}
// A page that the browser keeps for the way back keeps no token.
addEventListener("pagehide", () => setToken(""));

/** An element with these properties and content. */
function make(name, properties, ...content) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...content);
  return element;
}

function labelled(text, input) {
  return make("label", {}, make("span", {}, text), input);
}

function fieldOf({ name, in: place, required, type, least, most, example }) {
  let input;
  if (type === "boolean") {
    input = make("select", { required }, ...["", "true", "false"].map((value) => make("option", { value }, value)));
  } else {
    input = make("input", { required, autocomplete: "off", spellcheck: false, placeholder: example === null ? "" : String(example) });
    if (type === "integer") Object.assign(input, { type: "number", min: least ?? "", max: most ?? "" });
  }
  return { name, place, input, element: labelled(`${name} (in the ${place}${required ? ", required" : ""})`, input) };
}

/** The field for the body: a file for bytes, an editor with the example for everything else. */
function bodyOf({ kind, example }) {
  if (kind === "application/octet-stream") {
    const input = make("input", { type: "file", required: true });
    return { kind: () => kind, value: () => input.files[0], element: labelled(`Body (${kind})`, input) };
  }
  const rows = Math.min(Math.max(example.split("\n").length, 3), 18);
  const input = make("textarea", { rows, spellcheck: false, autocomplete: "off", value: example });
  const element = labelled(kind === "*/*" ? "Body" : `Body (${kind})`, input);
  if (kind !== "*/*") return { kind: () => kind, value: () => input.value, element };
  const kindInput = make("input", { value: "application/json", autocomplete: "off", spellcheck: false });
  return { kind: () => kindInput.value, value: () => input.value, element: make("div", {}, labelled("Content-Type", kindInput), element) };
}

/** The path and query of the call, as a URL of this origin. Throws a sentence if the values do not make one. */
function urlOf(path, fields) {
  const query = [];
  for (const { name, place, input } of fields) {
    const value = input.value.trim();
    if (place === "path") {
      const segments = name === "path" ? value.replace(/^\//, "").split("/") : [value];
      // A browser takes these out of a path, and what remains would be another call.
      if (segments.some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) throw new Error(`${name} must not be “.” or “..”.`);
      path = path.replace(`{${name}}`, () => segments.map(encodeURIComponent).join("/"));
    } else if (place === "query" && value !== "") {
      // RQL is the query string itself. What is encoded in it already stays so.
      query.push(name === "rql" ? value.replace(/[^\x21-\x7e]|["#<>\\^`{|}]/gu, encodeURIComponent) : `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    }
  }
  const url = new URL(base + path + (query.length > 0 ? `?${query.join("&")}` : ""), location.origin);
  if (url.origin !== location.origin) throw new Error("Only this service can be called.");
  return url;
}

/** JSON on several lines, with its numbers and its order as they came. */
function indented(json) {
  let pretty = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [part] of json.matchAll(/"(?:[^"\\]|\\.)*"?|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/gs)) {
    if (part === "{" || part === "[") { depth += 1; pretty += part + line(); }
    else if (part === "}" || part === "]") { depth = Math.max(depth - 1, 0); pretty += line() + part; }
    else if (part === ",") pretty += part + line();
    else pretty += part === ":" ? ": " : part.replace(/^([{[])\s+/, "$1");
  }
  return pretty;
}

/** Without characters that control a screen or turn the direction of what follows. */
const visible = (text) => text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

/** Reads the body as text, up to a bound, and shows what has come. */
async function read(response, show) {
  const reader = response.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    text += decoder.decode(bytes > MOST ? value.subarray(0, value.length - (bytes - MOST)) : value, { stream: true });
    if (bytes > MOST) {
      await reader.cancel();
      return `${text}\n… The rest is not shown: it is longer than ${MOST} bytes.`;
    }
    show(text);
  }
}

/** Sends the call and shows what comes. `signal` stops it. */
async function send(call, answer, signal) {
  const status = make("p", { className: "status" });
  const headers = make("div", { className: "headers" });
  const body = make("pre", { tabIndex: 0 });
  body.setAttribute("aria-label", "The body of the response");
  answer.replaceChildren(make("p", { className: "mono" }, `${call.method} ${call.url.pathname}${call.url.search}`), status);
  const began = performance.now();
  const seconds = () => `${Math.round(performance.now() - began)} ms`;
  try {
    const response = await fetch(call.url, { method: call.method, headers: call.headers, body: call.body, mode: "same-origin",
      credentials: "omit", redirect: "manual", cache: "no-store", referrerPolicy: "no-referrer", signal });
    if (response.type === "opaqueredirect") {
      status.textContent = `A redirect · ${seconds()}`;
      answer.append(make("p", {}, "The service says where to read this. A page may not follow it; curl does with -L."));
      return;
    }
    status.classList.toggle("bad", !response.ok);
    status.textContent = `${response.status} ${response.statusText} · ${seconds()}`;
    headers.textContent = HEADERS.filter((name) => response.headers.has(name)).map((name) => `${name}: ${visible(response.headers.get(name))}`).join("\n");
    answer.append(headers);
    const kind = response.headers.get("content-type") ?? "";
    if (response.body && !/json|^text\//i.test(kind)) {
      await response.body.cancel();
      answer.append(make("p", {}, "The body is no text, so it is not shown."));
      return;
    }
    answer.append(body);
    const isStream = /event-stream/.test(kind);
    const text = await read(response, (part) => { if (isStream) body.textContent = visible(part); });
    body.textContent = visible(/json/i.test(kind) ? indented(text) : text);
    if (text === "") body.replaceWith(make("p", {}, "No body."));
    status.textContent = `${response.status} ${response.statusText} · ${seconds()}`;
  } catch (error) {
    const isStopped = error.name === "AbortError";
    status.classList.toggle("bad", !isStopped);
    answer.append(make("p", { className: "bad" }, isStopped ? "Stopped." : "The service did not answer, or not to the end. Is it still running?"));
  }
}

/** What is written in the form, as a call. Throws a sentence if it is none. */
function callOf(described, method, fields, body) {
  const headers = new Headers();
  const given = token.trim();
  if (!/^[\x21-\x7e]*$/.test(given)) throw new Error("The token has a character that no token has.");
  if (given !== "") headers.set("authorization", `Bearer ${given}`);
  for (const { name, place, input } of fields) if (place === "header" && input.value.trim() !== "") headers.set(name, input.value.trim());
  const content = method === "GET" || method === "HEAD" ? undefined : body?.value() || undefined;
  if (content !== undefined) headers.set("content-type", body.kind());
  return { method, url: urlOf(described.path, fields), headers, body: content };
}

/** The form of an operation. */
function equip(fold) {
  const place = fold.querySelector(".try");
  if (!place || place.hasChildNodes()) return;
  const described = JSON.parse(fold.dataset.call);
  const fields = described.parameters.map(fieldOf);
  const body = described.body && bodyOf(described.body);
  const methods = make("select", {}, ...described.methods.map((method) => make("option", {}, method)));
  const tokenInput = make("input", { type: "password", autocomplete: "off", spellcheck: false, value: token });
  tokenFields.add(tokenInput);
  tokenInput.addEventListener("input", () => setToken(tokenInput.value));
  const sendButton = make("button", { type: "submit", className: "go" }, "Send");
  const stopButton = make("button", { type: "button", hidden: true }, "Stop");
  const question = make("div", { className: "question", hidden: true });
  const answer = make("div", { className: "answer" });
  answer.setAttribute("aria-live", "polite");
  const form = make("form", { noValidate: false, autocomplete: "off" },
    ...(described.methods.length > 1 ? [labelled("Method", methods)] : []),
    ...fields.map((field) => field.element), ...(body ? [body.element] : []),
    labelled("Access token: stays in this page until it is closed. API_ACCESS_TOKEN in .tasklane/credentials is one.", tokenInput),
    make("div", { className: "buttons" }, sendButton, stopButton), question);
  place.append(make("h3", {}, "Try it"), form, answer);

  async function go(call) {
    const stop = new AbortController();
    stopButton.onclick = () => stop.abort();
    sendButton.disabled = true;
    stopButton.hidden = false;
    await send(call, answer, stop.signal);
    sendButton.disabled = false;
    stopButton.hidden = true;
  }
  function ask(call) {
    const close = () => { question.hidden = true; question.replaceChildren(); sendButton.focus(); };
    const yes = make("button", { type: "button", className: "danger" }, "Yes, send it");
    const no = make("button", { type: "button" }, "No");
    yes.addEventListener("click", () => { close(); go(call); });
    no.addEventListener("click", close);
    question.replaceChildren(make("p", {}, `Really send ${call.method} ${call.url.pathname}${call.url.search}? It may not be possible to undo it.`),
      make("div", { className: "buttons" }, yes, no));
    question.hidden = false;
    no.focus();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (sendButton.disabled) return;
    try {
      const call = callOf(described, methods.value, fields, body);
      if (described.asks || call.method === "DELETE") ask(call);
      else go(call);
    } catch (error) {
      answer.replaceChildren(make("p", { className: "bad" }, error.message));
    }
  });
}

for (const fold of document.querySelectorAll("details.operation")) {
  fold.addEventListener("toggle", () => { if (fold.open) equip(fold); });
  if (fold.open) equip(fold);
}
