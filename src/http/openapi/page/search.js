// The search, links into folds, and the buttons that copy. Without scripts the page shows everything.
const field = document.getElementById("search");
const found = document.getElementById("found");
const nothing = document.getElementById("nothing");
const operations = [...document.querySelectorAll("details.operation")];
const texts = new Map(operations.map((operation) => [operation, `${operation.querySelector("summary").textContent} ${operation.dataset.words}`.toLowerCase()]));

/** Shows the operations that have every word of the field. */
function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const operation of operations) {
    const matches = words.every((word) => texts.get(operation).includes(word));
    operation.hidden = !matches;
    if (matches) count += 1;
  }
  const isSearching = words.length > 0;
  for (const group of document.querySelectorAll(".group")) group.hidden = isSearching && !group.querySelector("details.operation:not([hidden])");
  for (const part of document.querySelectorAll(".introduction, .schemas, nav")) part.hidden = isSearching;
  nothing.hidden = count > 0;
  found.textContent = isSearching ? (count === 0 ? "Nothing matches" : `${count} of ${operations.length} operations`) : "";
}

function showAll() {
  field.value = "";
  search();
}

/** Opens the fold that the address names, or that holds what it names; a search that hides it ends. */
function follow() {
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* It names nothing. */ }
  let target = id && document.getElementById(id);
  if (!target) return;
  if (target.closest("[hidden]")) showAll();
  // The mark of an operation that shares the fold after it.
  if (target.matches("a[id]")) while (target && !target.matches("details")) target = target.nextElementSibling;
  const fold = target?.closest("details.operation");
  if (fold) fold.open = true;
  target?.scrollIntoView();
}

field.closest("[role=search]").hidden = false;
field.addEventListener("input", search);
field.addEventListener("keydown", (event) => { if (event.key === "Escape") showAll(); });
document.getElementById("show-all").addEventListener("click", () => { showAll(); field.focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  field.focus();
  field.select();
});
addEventListener("hashchange", follow);
// The same link may be followed again after its fold was closed.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link && link.hash === location.hash) setTimeout(follow);
});
// A browser keeps what was written in the field when the page is loaded again.
search();
follow();

// Only pages that came safely, or from this machine, may write to the clipboard.
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.closest(".copied").querySelector("pre").textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
