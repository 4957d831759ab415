// What the console's pages can do besides working: times in the viewer's zone, parts that follow the service, and copying.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const two = (number) => String(number).padStart(2, "0");

/** Shows the times below an element in the viewer's zone, as wide as before; the title keeps UTC. */
function localize(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    element.title = `${element.dateTime} (UTC)`;
    const seconds = `${clock}:${two(at.getSeconds())}`;
    const isToday = at.toDateString() === new Date().toDateString();
    if ("short" in element.dataset) element.textContent = clock;
    else if ("brief" in element.dataset) element.textContent = isToday ? seconds : `${day} ${clock}`;
    else element.textContent = `${day} ${seconds}`;
  }
}

/** What only works with scripts. */
function equip(root) {
  localize(root);
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const box of root.querySelectorAll("[data-all]")) box.hidden = false;
}

/** Replaces a part, unless somebody is writing in it; the focus, the selected boxes and the scrolling stay. */
function replace(part, html, mark) {
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  if (active && active.matches("textarea, select, input:not([type=checkbox]):not([type=radio])")) return false;
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return false;
  const key = (element) => `${element.tagName}|${element.getAttribute("href") ?? ""}|${element.name ?? ""}|${element.value ?? ""}|${element.getAttribute("aria-label") ?? ""}`;
  const focus = active && key(active);
  const chosen = new Set([...part.querySelectorAll("input:checked")].map(key));
  const touched = part.querySelector("input[type=checkbox], input[type=radio]") !== null;
  const opened = [...part.querySelectorAll("details")].map((details) => details.open);
  const scrolled = [...part.querySelectorAll(".log, pre")].map((box) => box.scrollTop);
  part.innerHTML = html;
  part.dataset.mark = mark;
  equip(part);
  if (touched) for (const box of part.querySelectorAll("input[type=checkbox], input[type=radio]")) box.checked = chosen.has(key(box));
  [...part.querySelectorAll("details")].forEach((details, at) => { if (opened[at]) details.open = true; });
  [...part.querySelectorAll(".log, pre")].forEach((box, at) => { box.scrollTop = scrolled[at] ?? 0; });
  if (focus) [...part.querySelectorAll("a, button, input, summary, [tabindex]")].find((element) => key(element) === focus)?.focus({ preventScroll: true });
  return true;
}

/** Parts that could not be replaced when they arrived. */
const delayed = new Map();
const show = ({ id, mark, html }) => {
  const part = document.getElementById(id);
  return !part || part.dataset.mark === mark || replace(part, html, mark);
};
const catchUp = () => setTimeout(() => { for (const news of delayed.values()) if (show(news)) delayed.delete(news.id); });
document.addEventListener("focusout", catchUp);
document.addEventListener("selectionchange", () => { if (document.getSelection()?.isCollapsed) catchUp(); });

let source = null;
/** Follows the service. A page that nobody sees does not: a browser has few connections for one host. */
function follow() {
  if (!document.querySelector("[data-live]") || source || document.hidden) return;
  const link = document.getElementById("link");
  source = new EventSource(`/console/changes?page=${encodeURIComponent(location.pathname + location.search)}`);
  source.addEventListener("open", () => { link.textContent = "Live"; });
  source.addEventListener("error", () => { link.textContent = "Not connected: trying again"; });
  source.addEventListener("part", (event) => {
    const news = JSON.parse(event.data);
    delayed.delete(news.id);
    if (!show(news)) delayed.set(news.id, news);
  });
  source.addEventListener("trouble", (event) => { document.getElementById("trouble").innerHTML = JSON.parse(event.data).html; });
}
function rest() {
  source?.close();
  source = null;
}
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : follow()));
addEventListener("pagehide", rest);
addEventListener("pageshow", follow);

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.closest(".copy").querySelector("pre").textContent);
  button.textContent = "Copied";
});
document.addEventListener("change", (event) => {
  const all = event.target.closest?.("[data-all]");
  if (!all) return;
  for (const box of all.form.querySelectorAll(`input[name="${all.dataset.all}"]`)) box.checked = all.checked;
});

// RQL: the list of suggestions goes on from what is written.
for (const input of document.querySelectorAll("[data-words]")) {
  const options = [...input.list.options];
  const words = options.map((option) => option.value);
  input.addEventListener("input", () => {
    const at = Math.max(input.value.lastIndexOf("&"), input.value.lastIndexOf("(and("), 0);
    const before = input.value.slice(0, at && at + 1);
    options.forEach((option, number) => { option.value = before + words[number]; });
  });
}

// Moments are written in the viewer's time, and sent in UTC.
for (const input of document.querySelectorAll("[data-moment]")) {
  input.closest("label").querySelector("[data-utc]").hidden = true;
  const text = input.value.trim().replace(" ", "T");
  if (!text) continue;
  const at = new Date(/(Z|[+-]\d\d:\d\d)$/.test(text) ? text : `${text}Z`);
  if (!Number.isNaN(at.getTime())) input.value = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
document.addEventListener("submit", (event) => {
  for (const input of event.target.querySelectorAll("[data-moment]")) {
    const at = new Date(input.value.trim().replace(" ", "T"));
    if (input.value.trim() && !Number.isNaN(at.getTime())) input.value = at.toISOString();
  }
});

// A page that took long began before its title was known.
const heading = document.querySelector("main[tabindex] h1");
if (heading) document.title = `${heading.textContent} · tasklane`;

equip(document);
const shown = document.getElementById("zone");
if (shown) shown.textContent = zone;
follow();
