// Keys that work on every page, and the dialog that tells of them.
//
// `/` goes to the search field, `j` and `k` step through whatever has `data-step`, `g` and a letter go to the page
// whose link has that letter as `data-go`, `?` opens the dialog. A page adds its own by `onKey`.

const SEQUENCE = 1000; // milliseconds for the letter behind `g`

const dialog = document.getElementById("keys");
const list = dialog.querySelector("dl");
const actions = new Map();
let going = 0;

// WCAG 2.1.4: who speaks to their computer, or holds keys down, can turn them off.
const KEPT = "miniagent-viewer-keys";
const on = document.getElementById("keys-on");
try {
  on.checked = localStorage.getItem(KEPT) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEPT, on.checked ? "on" : "off"));
} catch {
  // A browser that keeps nothing for pages: it is for this page only, then.
}

/**
 * A key of a page.
 * @param {string} key as KeyboardEvent.key gives it
 * @param {string} does what the dialog says of it
 * @param {function(): void} action
 */
export function onKey(key, does, action) {
  actions.set(key, action);
  tell([key], does);
}

function tell(keys, does) {
  const term = document.createElement("dt");
  for (const key of keys) {
    const shown = document.createElement("kbd");
    shown.textContent = key;
    term.append(shown, " ");
  }
  const text = document.createElement("dd");
  text.textContent = does;
  list.append(term, text);
}

function search() {
  return document.querySelector("main input[type=search]");
}

/** To the next of what can be stepped through, or the one before. */
function step(by) {
  const steps = [...document.querySelectorAll("[data-step]")].filter((each) => each.offsetParent);
  if (!steps.length) return;
  const now = steps.findIndex((each) => each.contains(document.activeElement));
  const to = steps[now < 0 ? 0 : Math.min(Math.max(now + by, 0), steps.length - 1)];
  const target = to.hasAttribute("tabindex") ? to : to.querySelector("a, button") || to;
  target.focus({ preventScroll: true });
  to.scrollIntoView({ block: "nearest" });
}

function isWriting(element) {
  return element.closest("textarea, select, [contenteditable]")
    || element.matches("input:not([type=checkbox], [type=radio], [type=range], [type=button])");
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, target } = event;
  if (!(target instanceof Element)) return;
  if (isWriting(target)) {
    if (key === "Escape") target.blur();
    return;
  }
  if (!on.checked || document.querySelector("dialog[open]")) return;
  if (going && event.timeStamp - going < SEQUENCE) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const action = actions.get(key);
  if (action) { event.preventDefault(); action(); }
});

const opener = document.getElementById("keys-open");
opener.hidden = false;
opener.addEventListener("click", () => dialog.showModal());

// Only what this page has is told of. Pages' own modules run after this one.
if (search()) onKey("/", "Search", () => search().focus());
if (document.querySelector("[data-step], [data-steps]")) {
  actions.set("j", () => step(1));
  actions.set("k", () => step(-1));
  tell(["j", "k"], "Next, previous; Enter opens it");
}
for (const link of document.querySelectorAll("[data-go]")) {
  tell(["g", link.dataset.go], `Go to ${link.textContent.trim()}`);
}
actions.set("g", () => { going = performance.now(); });
onKey("?", "These keys", () => dialog.showModal());
