// Every page and every act of the console, in Chromium. Run by browser.rs; exits with 1 and says what is wrong.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";

const require = createRequire(`${process.env.TASKLANE_TEST_PACKAGES}/package.json`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const plan = JSON.parse(process.env.TASKLANE_TEST_PLAN);
const origin = new URL(plan.root).origin;
const faults = [];
const refusals = [];
const fault = (text) => { faults.push(text); };
const check = (holds, text) => { if (!holds) fault(text); };
const began = Date.now();
process.on("uncaughtException", (error) => {
  for (const text of faults) console.log(`- ${text}`);
  console.log(error.stack);
  process.exit(1);
});

/** Calls the service itself, as its administrator. */
async function api(method, path, body) {
  const headers = { authorization: `Bearer ${plan.token}`, "content-type": "application/json" };
  const answer = await fetch(plan.service + path, { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(plan.profile, {
  executablePath: plan.chromium, headless: true, args, timezoneId: "Asia/Kolkata", viewport: { width: 1280, height: 800 }, bypassCSP: false,
});
context.setDefaultTimeout(15_000);
const page = context.pages()[0] ?? await context.newPage();

/** What a page must never do. */
function watch(page) {
  page.on("console", (message) => {
    if (message.text().includes("status of 400")) refusals.push(message.text());
    else if (["error", "warning"].includes(message.type())) fault(`console: ${message.text()} at ${page.url()}`);
  });
  page.on("pageerror", (error) => fault(`script: ${error.message} at ${page.url()}`));
  page.on("request", (request) => check(new URL(request.url()).origin === origin, `a request to ${request.url()}`));
  page.on("dialog", (dialog) => { fault(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
}
watch(page);
const go = (path, on = page) => on.goto(plan.root + path);

// The link lets this browser in.
await page.goto(plan.link);
await page.waitForURL(plan.root);
check((await context.cookies()).every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict" && cookie.path === "/console/"), "the cookie is lax");
check(await page.evaluate(() => document.cookie) === "", "scripts see the cookie");

// Each page: at both widths, in both schemes, by axe, and its structure.
const pages = {
  overview: "", tasks: "tasks", filtered: "tasks?status=failed&rql=like(error.name%2C*MAIL*)", failures: "failures", functions: "functions",
  function: "functions/invoices", turns: "functions/exports", versions: "functions/idle", schedules: "schedules", schedule: `schedules/${plan.schedule}`, bulk: "bulk", requests: "requests",
  request: `requests/${plan.request}`, live: "live", credentials: "credentials", failed: `tasks/${plan.failed}`, complete: `tasks/${plan.complete}`,
  waiting: `tasks/${plan.waiting}`, again: `tasks/${plan.waiting}/again`, cancel: `tasks/${plan.waiting}/cancel`, disable: "functions/idle/disable",
  revoke: `credentials/${plan.waiting}/revoke`, replay: "bulk/new?action=replay&which=all&rql=eq(status%2Cfailed)",
};
const structure = [];
async function audit(name, rules) {
  if (!await page.evaluate(() => "axe" in globalThis)) await page.evaluate(axe);
  const found = await page.evaluate(async (rules) => (await globalThis.axe.run(document, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) })).violations
    .map((violation) => `${violation.id}: ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`), rules);
  for (const violation of found) fault(`axe on ${name}: ${violation}`);
}
async function describe(name) {
  structure.push(`# ${name}`);
  const text = (await page.evaluate(() => [...document.querySelectorAll("h1, h2, caption, thead tr, label > span:first-child, legend, summary, button, a.button")]
    .filter((element) => !element.closest("tbody") && element.checkVisibility())
    .map((element) => `${element.localName} ${element.localName === "tr" ? [...element.children].map((cell) => cell.firstChild?.textContent ?? "").join(" | ") : element.textContent}`)));
  structure.push(...text.map((line) => line.replace(/[0-9a-f]{24}/g, "ID").replace(/\s+/g, " ").trim()));
}
for (const [name, path] of Object.entries(pages)) {
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light" });
  const answer = await go(path);
  check(answer.status() === 200, `${name} answers ${answer.status()}`);
  await describe(name);
  await audit(`${name}, light`);
  await page.emulateMedia({ colorScheme: "dark" });
  // Only colors differ.
  await audit(`${name}, dark`, ["color-contrast"]);
  for (const width of [1280, 400]) {
    await page.setViewportSize({ width, height: 800 });
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(excess <= 0, `${name} is ${excess} pixels too wide at ${width}`);
  }
  await audit(`${name}, narrow`);
  check(await page.evaluate(() => globalThis.pwned === undefined), `hostile text runs on ${name}`);
}
await page.emulateMedia({ colorScheme: "light" });
await page.setViewportSize({ width: 1280, height: 800 });

// Hostile text is text, and times are the viewer's, with UTC in their titles.
await go(`tasks/${plan.failed}`);
check((await page.locator("main").innerText()).includes("<script>globalThis.pwned=1</script>"), "hostile text is not shown as it is");
const time = page.locator(".facts time").first();
const [stamp, shown, title] = await time.evaluate((element) => [element.dateTime, element.textContent, element.title]);
const offset = (Date.parse(`${shown.replace(" ", "T")}Z`) - Math.floor(Date.parse(stamp) / 1000) * 1000) / 60_000;
check(offset === 330 && title.includes(stamp), `${shown} is not ${stamp} in Kolkata (${title})`);

// Keyboard: the first stop leads past the navigation; every link, button and field is a stop, in the order of the page.
await go("tasks");
await page.keyboard.press("Tab");
check(await page.evaluate(() => document.activeElement.className) === "skip", "the first stop is not the way to the content");
const wanted = await page.evaluate(() => document.querySelectorAll("a[href], button, input:not([type=hidden]):not([type=radio]), select, summary, textarea").length);
const reached = new Set();
for (let stop = 0; stop < wanted + 20; stop += 1) {
  const key = await page.evaluate(() => {
    const all = [...document.querySelectorAll("*")];
    return document.activeElement === document.body ? -1 : all.indexOf(document.activeElement);
  });
  if (key === -1) break;
  reached.add(key);
  await page.keyboard.press("Tab");
}
check(reached.size >= wanted, `the keyboard reaches ${reached.size} of ${wanted}`);

// Live: a new Task is on the screen within a second, and nothing jumps.
await go("tasks");
await page.evaluate(() => {
  globalThis.shift = 0;
  new PerformanceObserver((list) => { for (const entry of list.getEntries()) globalThis.shift += entry.value; }).observe({ type: "layout-shift", buffered: true });
});
await page.getByText("Live", { exact: true }).last().waitFor();
await page.locator("#link", { hasText: "Live" }).waitFor();
// On a busy machine one may come late.
let soonest = Infinity;
for (let round = 0; round < 4; round += 1) {
  const { id } = await api("POST", "/tasks/v1/", { functionName: "reports", data: { number: round } });
  const since = Date.now();
  await page.locator(`a[href="/console/tasks/${id}"]`).waitFor();
  soonest = Math.min(soonest, Date.now() - since);
  // Its end follows.
  await page.locator("tr", { has: page.locator(`a[href="/console/tasks/${id}"]`) }).getByText("complete").waitFor();
}
check(soonest < 1000, `a new Task is on the screen after ${soonest} ms`);
check(await page.evaluate(() => globalThis.shift) < 0.1, `the page jumps: ${await page.evaluate(() => globalThis.shift)}`);
await go("live");
await page.locator("#link", { hasText: "Live" }).waitFor();
await api("POST", "/tasks/v1/", { functionName: "reports", data: { lines: ["a line as it is printed"] } });
await page.getByText("a line as it is printed").first().waitFor();

// Acts. Each asks once, does it, and says so.
const sentence = async (text) => { await page.locator(".notice", { hasText: text }).waitFor(); };
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const follow = (name) => page.getByRole("link", { name, exact: true }).click();

await go(`tasks/${plan.waiting}`);
await follow("Cancel…");
await press("Cancel it");
await sentence("The Task is canceled.");
check((await api("GET", `/tasklane/v1/tasks/${plan.waiting}`)).status === "canceled", "the Task is not canceled");

await go(`tasks/${plan.complete}`);
await follow("Run again…");
await page.getByLabel("Input (JSON)").fill('{"number": 1.50, "edited": true}');
await press("Create the Task");
await sentence("This is a new Task");
const edited = await api("GET", `/tasklane/v1/tasks/${page.url().split("/").pop()}`);
check(edited.data.edited === true && edited.functionName === "reports", "the Task has not the edited input");

await go("functions/reports");
await page.getByText("Execute it").click();
await page.getByLabel("Input (JSON)").fill('{"number": 42}');
await press("Execute now and wait");
await sentence("It returned");
await go("functions/reports");
await page.getByText("Execute it").click();
await page.getByLabel("Input (JSON)").fill("{not json");
await press("Execute now and wait");
await page.getByText("is not JSON").waitFor();
// The browser says that this answer was a refusal.
check(refusals.length === 1, `${refusals.length} refusals`);

await go("functions/idle");
await follow("Disable…");
await press("Disable it");
await sentence("The Function is disabled.");
await follow("Enable…");
await press("Enable it");
await sentence("The Function is enabled.");
await page.getByText("Version 2 is being tried").waitFor();
await follow("Stop it…");
await press("Stop it");
await sentence("Every run gets the current version.");
await page.getByText("it was stopped").waitFor();
await follow("Roll back…");
await page.getByText("equal to version 2").waitFor();
await press("Roll it back");
await sentence("The Function is version 3, equal to 2.");
await page.getByRole("link", { name: "Try it…" }).first().click();
await page.getByLabel("Percent of the runs").fill("100");
await press("Try it");
await page.getByText("The field 'percent' must be a whole number from 1 to 99.").waitFor();
check(refusals.length === 2, `${refusals.length} refusals`);
await go("functions/idle");
await page.getByRole("link", { name: "Try it…" }).first().click();
await page.getByLabel("Percent of the runs").fill("25");
await page.getByLabel("End it after so many failures").fill("2");
await page.getByLabel("among its last runs").fill("10");
await press("Try it");
await sentence("gets 25 % of the runs that start.");
await page.getByText("until 2 of its last 10 have failed").waitFor();

// A Schedule of one Function, and one without a Function, which the service refuses.
await page.getByText("Create a Schedule").click();
await page.getByLabel("Name", { exact: true }).fill("every morning");
await page.getByLabel("Times (cron)").fill("30 8 * * MON-FRI");
await page.getByLabel("Time zone").fill("Europe/Berlin");
await page.getByLabel("Input of each Task (JSON)").fill('{"from":"the console"}');
await press("Create it");
await sentence("The Schedule is made.");
await page.locator("p.sentence", { hasText: "in Europe/Berlin" }).waitFor();
await page.getByText("the console").first().waitFor();
await go("schedules");
await page.getByText("Create a Schedule").click();
await page.getByLabel("Or seconds between two Tasks").fill("60");
await press("Create it");
await page.locator(".problem", { hasText: "functionName" }).waitFor();
check(refusals.length === 3, `${refusals.length} refusals`);

await go(`schedules/${plan.schedule}`);
check(await page.locator("table.times tbody tr").count() === 10, "there are not ten next times");
await follow("Pause…");
await press("Pause it");
await sentence("The Schedule is paused.");
await follow("Resume…");
await press("Resume it");
await sentence("The Schedule is resumed.");
await follow("Run now…");
await press("Create the Task");
await sentence("The Schedule has created this Task.");

// Failures: replay all, first counted, then with its progress.
await go("failures");
await page.getByRole("link", { name: "Replay all…" }).click();
await page.getByText("This runs again").waitFor();
await press("Replay them");
await sentence("The bulk operation has begun.");
await page.locator(".why .state.complete").waitFor();

// Selected Tasks, and all that match.
await go("tasks?function=invoices&status=complete");
await page.locator("[data-all]").check();
check(await page.locator("input[name=id]:checked").count() >= 20, "not all Tasks of the page are selected");
await page.locator("[data-all]").uncheck();
await page.locator("input[name=id]").first().check();
await press("Replay…");
await page.getByText("1 selected").waitFor();
await follow("No, go back");
await go("tasks?function=invoices&status=complete");
await page.getByLabel("all that match").check();
await press("Replay…");
await press("Replay them");
await page.locator(".why .state.complete").waitFor();

// Another priority for those that wait.
const { id: low } = await api("POST", "/tasks/v1/", { functionName: "idle", startTimestamp: "2099-01-01T00:00:00Z" });
await go("tasks?function=idle&status=new");
await page.getByLabel("all that match").check();
await press("Priority…");
await page.getByLabel("Their priority").fill("7");
await press("Count them…");
await page.getByText("This changes the priority of").waitFor();
await press("Change it");
await page.locator(".why .state.complete").waitFor();
check((await api("GET", `/tasklane/v1/tasks/${low}`)).priority === 7, "the Task has its old priority");

await go("credentials");
await page.getByText("Create a credential").click();
await page.getByLabel("User", { exact: true }).fill("ada");
await page.getByLabel("VIEW_TASKS", { exact: true }).check();
await press("Create it");
const made = await page.getByLabel("Access token, for Authorization: Bearer").innerText();
check((await fetch(`${plan.service}/users/v1/me`, { headers: { authorization: `Bearer ${made}` } })).status === 200, "the new credential does not work");
await follow("I have kept them");
await page.locator("tr", { hasText: "ada" }).getByRole("link", { name: "Revoke…" }).click();
await press("Revoke it");
await sentence("is revoked.");
check((await fetch(`${plan.service}/users/v1/me`, { headers: { authorization: `Bearer ${made}` } })).status === 401, "the credential still works");

await go("tasks?rql=eq(");
await page.locator(".problem", { hasText: "19 INVALID_RQL_EXCEPTION" }).waitFor();

// The pictures of README: an overview of a service at work, and a Task that was retried in vain.
mkdirSync(plan.pictures, { recursive: true });
const busy = Array.from({ length: 14 }, (_, number) => ({ functionName: number % 3 ? "invoices" : "reports", data: { number, ms: 4000 } }));
await api("POST", "/tasklane/v1/tasks/batch", { tasks: busy });
for (const [scheme, path, until] of [["light", "", ".meter .full"], ["dark", `tasks/${plan.mailed}`, ".chain .state"]]) {
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width: 1120, height: 660 });
  await go(path);
  await page.locator("#link", { hasText: "Live" }).waitFor();
  await page.locator(until).first().waitFor({ state: "attached" });
  await page.screenshot({ path: `${plan.pictures}/console-${scheme}.png` });
}
const state = await context.storageState();
await context.close();

// Without scripts the same pages are there, and acts work.
const browser = await chromium.launch({ executablePath: plan.chromium, headless: true, args });
const plain = await browser.newPage({ javaScriptEnabled: false, storageState: state });
watch(plain);
await go("", plain);
check((await plain.locator("#now").innerText()).includes("Slots in use"), "without scripts there is no overview");
check((await plain.locator("footer").innerText()).includes("UTC"), "without scripts times are not in UTC");
const { id } = await api("POST", "/tasks/v1/", { functionName: "idle", startTimestamp: "2099-01-01T00:00:00Z" });
await go(`tasks/${id}`, plain);
await plain.getByRole("link", { name: "Cancel…" }).click();
await plain.getByRole("button", { name: "Cancel it" }).click();
await plain.locator(".notice", { hasText: "The Task is canceled." }).waitFor();
await browser.close();

console.log(`${Object.keys(pages).length} pages, ${Date.now() - began} ms`);
for (const text of faults) console.log(`- ${text}`);
console.log(`a new Task was on the screen after ${soonest} ms`);
console.log(`--- structure\n${structure.join("\n")}`);
process.exit(faults.length === 0 ? 0 : 1);
