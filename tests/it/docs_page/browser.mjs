// The page about the API, in Chromium. Run by mod.rs; exits with 1 and says what is wrong.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(`${process.env.TASKLANE_TEST_PACKAGES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const plan = JSON.parse(process.env.TASKLANE_TEST_PLAN);
const docs = `${plan.service}/docs`;
const faults = [];
const calls = [];
const fault = (text) => { faults.push(text); };
const check = (holds, text) => { if (!holds) fault(text); };
process.on("uncaughtException", (error) => {
  for (const text of faults) console.log(`- ${text}`);
  console.log(error.stack);
  process.exit(1);
});

/** Calls the service itself, as its administrator. */
async function api(method, path, body) {
  const headers = { authorization: `Bearer ${plan.token}`, "content-type": "application/json" };
  return fetch(plan.service + path, { method, headers, body: body && JSON.stringify(body) });
}

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(plan.profile, { executablePath: plan.chromium, headless: true, args, viewport: { width: 1280, height: 800 } });
context.setDefaultTimeout(10_000);
await context.addInitScript(() => {
  globalThis.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
});
const page = context.pages()[0] ?? await context.newPage();
page.on("console", (message) => {
  // The browser itself says that a call was refused.
  if (["error", "warning"].includes(message.type()) && !message.text().includes("status of 401")) fault(`console: ${message.text()}`);
});
page.on("pageerror", (error) => fault(`script: ${error.message}`));
page.on("dialog", (dialog) => { fault(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
page.on("request", (request) => {
  calls.push(`${request.method()} ${request.url().replace(plan.service, "")}`);
  check(new URL(request.url()).origin === plan.service, `a request to ${request.url()}`);
  check(!request.url().includes(plan.token), "the token is in a URL");
});

const shown = () => page.locator("details.operation:visible");
const open = async (id) => {
  await page.evaluate((id) => { location.hash = ""; location.hash = id; }, id);
  const fold = page.locator(`#${id}`);
  await fold.getByRole("button", { name: "Send" }).waitFor();
  return fold;
};
/** Sends what is in the form of a fold, and waits for the status that its answer begins with. */
const send = async (fold, status) => {
  await fold.getByRole("button", { name: "Send" }).click();
  await fold.locator(".answer .status", { hasText: status }).waitFor();
};
const answer = (fold) => fold.locator(".answer pre").innerText();

// The page: nothing is loaded, nothing is sent, and it is for everybody.
await page.goto(docs);
check(calls.join() === "GET /docs", `the page loads ${calls}`);
await open("createTask");
for (const width of [1280, 400]) {
  await page.setViewportSize({ width, height: 800 });
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(excess <= 0, `${excess} pixels too wide at ${width}`);
}
// Folds and records are alike: axe looks at some of them, and at everything around them.
await page.evaluate(() => {
  for (const fold of document.querySelectorAll("details.operation:not(#createTask, #listTasks, #callApiFunctionByGet)")) fold.remove();
  for (const record of [...document.querySelectorAll(".schemas > :not(h2)")].slice(30)) record.remove();
});
await page.evaluate(axe);
for (const colorScheme of ["light", "dark"]) {
  await page.emulateMedia({ colorScheme });
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations
    .map((violation) => `${violation.id}: ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`));
  for (const violation of found) fault(`axe, ${colorScheme}: ${violation}`);
}
await page.emulateMedia({ colorScheme: "light" });
await page.setViewportSize({ width: 1280, height: 800 });
await page.goto(docs);
check(calls.length === 2, `something is sent without a click: ${calls}`);

// The search.
const all = await shown().count();
await page.locator("body").click({ position: { x: 1, y: 1 } });
await page.keyboard.press("/");
check(await page.evaluate(() => document.activeElement.id) === "search", "/ does not lead to the search");
await page.keyboard.type("cancel_tasks");
await page.locator("#found", { hasText: `1 of ${all} operations` }).waitFor();
check(await shown().getAttribute("id") === "cancelTask", "a permission does not find its operation");
await page.locator("#search").fill("put codeUploadId");
check(await shown().getAttribute("id") === "updateFunction", "a field does not find its operation");
await page.locator("#search").fill("no such thing");
check(await page.getByText("No operation matches.").isVisible() && await page.locator("#found").innerText() === "Nothing matches", "an empty result does not say so");
await page.getByRole("button", { name: "Show all" }).click();
check(await shown().count() === all, "not everything is shown again");
await page.locator("#search").fill("overview");
await page.evaluate(() => { location.hash = "callApiFunctionByPatch"; });
await page.locator("#callApiFunctionByGet[open]").waitFor();
check(await shown().count() === all, "a link into a hidden fold does not end the search");

// A Task: with a wrong token, and with a right one, which every other form has then, too.
let fold = await open("createTask");
const token = fold.getByLabel("Access token");
check(await token.getAttribute("type") === "password", "the token can be read over a shoulder");
await token.fill("tl_wrong");
await fold.getByLabel("Body").fill('{"functionName": "pages", "startTimestamp": "2099-01-01T00:00:00Z", "data": {"exact": 1.50}}');
await send(fold, "401");
check((await answer(fold)).includes('"name": "ACCESS_TOKEN_UNKNOWN_EXCEPTION"'), "a wrong token is not answered with its error");
await token.fill(plan.token);
await send(fold, "200");
const text = await answer(fold);
check(text.includes('\n    "exact": 1.50\n'), `a number changes: ${text}`);
check((await fold.locator(".answer .headers").innerText()).includes("x-request-id: "), "the request's id is not shown");
const { id } = JSON.parse(text);
check((await (await api("GET", `/tasklane/v1/tasks/${id}`)).json()).functionName === "pages", "there is no Task");

// RQL and a path, and a call that would be another one.
fold = await open("listTasks");
await fold.getByLabel("rql").fill("eq(functionName,pages)&select(id)");
await send(fold, "200");
check(calls.at(-1) === "GET /tasks/v1?eq(functionName,pages)&select(id)" && (await answer(fold)).includes(id), `RQL is not the query: ${calls.at(-1)}`);
fold = await open("getFunction");
const before = calls.length;
await fold.getByRole("button", { name: "Send" }).click();
check(await fold.getByLabel("functionName").evaluate((input) => input.validity.valueMissing), "a required value is not required");
await fold.getByLabel("functionName").fill("..");
await fold.getByRole("button", { name: "Send" }).click();
await fold.getByText("must not be").waitFor();
check(calls.length === before, `this was sent: ${calls.at(-1)}`);

// What others wrote is text.
await fold.getByLabel("functionName").fill("hostile");
await send(fold, "200");
check((await answer(fold)).includes('<img src=x onerror=\\"globalThis.pwned=1\\">\ufffdgnirts'), `hostile text is not shown as it is: ${await answer(fold)}`);
fold = await open("callApiFunctionByGet");
await fold.getByLabel("functionName").fill("pages");
await fold.getByLabel("path (").fill("a/b");
await send(fold, "200");
check((await answer(fold)).includes("<img src=x"), "a page of a Function is not shown as text");
await fold.getByLabel("path (").fill("long");
await send(fold, "200");
await fold.locator(".answer pre", { hasText: "The rest is not shown" }).waitFor();
check((await answer(fold)).length < 200_100, "a response of any length is shown");
check(await page.evaluate(() => document.querySelector("img") === null && globalThis.pwned === undefined), "hostile text becomes HTML");

// What cannot be undone is asked about.
fold = await open("deleteFunction");
await fold.getByLabel("functionName").fill("hostile");
const sent = calls.length;
await fold.getByRole("button", { name: "Send" }).click();
await fold.getByText("Really send DELETE /tasks/v1/functions/hostile?").waitFor();
await fold.getByRole("button", { name: "No" }).click();
check(calls.length === sent && (await api("GET", "/tasks/v1/functions/hostile")).status === 200, "No means yes");
await fold.getByRole("button", { name: "Send" }).click();
await fold.getByRole("button", { name: "Yes, send it" }).click();
await fold.locator(".answer .status", { hasText: "200" }).waitFor();
check((await api("GET", "/tasks/v1/functions/hostile")).status === 404, "Yes means no");

// A stream is shown as it comes, until it is stopped.
fold = await open("streamTasks");
await fold.getByRole("button", { name: "Send" }).click();
await fold.locator(".answer .status", { hasText: "200" }).waitFor();
await api("POST", "/tasks/v1/", { functionName: "pages" });
await fold.locator(".answer pre", { hasText: "event: task" }).waitFor();
await fold.getByRole("button", { name: "Stop" }).click();
await fold.getByText("Stopped.").waitFor();

// The token is nowhere but in the fields of this page.
const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state]));
check(!kept.includes(plan.token), `the token is kept: ${kept}`);
check((await page.evaluate(() => globalThis.violations)).length === 0, `the policy is violated: ${await page.evaluate(() => globalThis.violations)}`);
await page.reload();
fold = await open("createTask");
check(await fold.getByLabel("Access token").inputValue() === "", "the token is there after the page is loaded again");

// A page of a Function has the same origin. It cannot read a window with the page, not even one that it opened.
const other = await context.newPage();
await other.goto(`${plan.service}/tasks/v1/api/pages/x`);
const [opened] = await Promise.all([context.waitForEvent("page"), other.evaluate(() => { globalThis.opened = globalThis.open("/docs"); })]);
await opened.locator("#search").waitFor();
check(await other.evaluate(() => globalThis.opened.closed), "a page of a Function can read along");
check(await other.evaluate(() => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.src = "/docs";
  frame.onload = () => { try { resolve(frame.contentDocument === null); } catch { resolve(true); } };
  document.body.append(frame);
})), "a page of a Function can hold the page in a frame");
await context.close();

// Without scripts everything can be read.
const browser = await chromium.launch({ executablePath: plan.chromium, headless: true, args });
const plain = await browser.newPage({ javaScriptEnabled: false });
await plain.goto(docs);
check(await plain.locator("details.operation:visible").count() === all && !await plain.locator("#search").isVisible(), "without scripts it is another page");
await plain.locator("#createTask summary").click();
check(await plain.locator("#createTask").getByText("startTimestamp").first().isVisible(), "without scripts folds stay closed");
await browser.close();

for (const text of faults) console.log(`- ${text}`);
process.exit(faults.length === 0 ? 0 : 1);
