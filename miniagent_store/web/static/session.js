// One session: more of its log as one scrolls, what is new as it comes, and a slider through what was.

import { onKey } from "./keys.js";
import { live } from "./live.js";
import { join } from "./session-calls.js";
import { replay } from "./session-replay.js";
import { Window, entriesIn, toBottom } from "./session-window.js";

const part = document.getElementById("part");
const badge = document.getElementById("live");
const told = document.getElementById("told");
const fresh = document.getElementById("fresh");
const form = document.getElementById("replay");
const isLog = part.dataset.view === "log";
const STATES = { open: "live", lost: "connecting", paused: "paused" };
const FACTS = 1000; // milliseconds between two looks at the counts on top

const log = isLog ? new Window(part, join) : null;
let unseen = 0, refreshing = 0;

if (isLog) {
  join(log.list);
  await toPlace();
  addEventListener("hashchange", toPlace);
  addEventListener("scroll", () => { if (log.isFollowed) seen(); }, { passive: true });
  if (form) replay(form, log, tell);
  else controls();
  keys();
}
if (!form) watch();

// -- Where to look. -----------------------------------------------------------------------------------------

/** To the entry of the address, which is loaded with what is around it; of a long log to its newest otherwise. */
async function toPlace() {
  const seq = /^#m(\d+)$/.exec(location.hash)?.[1];
  if (seq) return find(seq);
  const asked = new URL(location.href).searchParams;
  if (!["before", "after", "around"].some((name) => asked.has(name)) && (form || log.first > log.low)) toBottom();
}

async function find(seq) {
  try {
    if (!log.entry(seq)) await log.go({ around: seq });
  } catch (error) {
    return tell(error.message);
  }
  const entry = log.entry(seq);
  for (const each of log.list.querySelectorAll(".found")) each.classList.remove("found");
  if (!entry) return tell(`There is no #${seq}.`);
  entry.classList.add("found");
  entry.scrollIntoView({ block: "center", behavior: "instant" });
  entry.focus({ preventScroll: true });
}

async function toNewest() {
  if (!log.isAtEnd) await log.go({});
  toBottom();
  seen();
}

function seen() {
  unseen = 0;
  if (fresh) fresh.hidden = true;
}

function controls() {
  const on = (id, action) => document.getElementById(id)?.addEventListener("click", (event) => {
    event.preventDefault();
    Promise.resolve(action()).catch((error) => tell(error.message));
  });
  on("oldest", toOldest);
  on("newest", toNewest);
  on("fresh", toNewest);
  const jump = document.getElementById("jump");
  jump?.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#m${jump.elements.around.value}`;
  });
}

async function toOldest() {
  if (log.first > log.low) await log.go({ after: Math.max(log.low - 1, 0) });
  scrollTo({ top: 0, behavior: "instant" });
}

function keys() {
  if (form) return;
  onKey("[", "To the oldest", toOldest);
  onKey("]", "To the newest", toNewest);
  onKey("r", "The raw entry", () => document.activeElement.closest(".entry")?.querySelector("a.raw")?.click());
}

// -- What is new. -------------------------------------------------------------------------------------------

function watch() {
  badge.hidden = false;
  const state = (name) => { badge.dataset.state = name; badge.textContent = STATES[name]; };
  const stream = live(part.dataset.live, {
    entries: onEntries,
    behind: ({ last }) => {
      if (!isLog) return refresh();
      const follow = log.isFollowed;
      log.high = last;
      if (follow) toNewest();
      else note(1);
      refresh();
    },
    reset: ({ from }) => { if (isLog) log.dropFrom(from); refresh(); },
    log: refresh,
    state: refresh,
    metadata: refresh,
    gone: ({ how }) => { end(how); tell(`This session was ${how === "expired" ? "swept: it has expired" : how}.`); },
    stopped: ({ what, cure }) => { end("not live"); tell(`${what} ${cure}`); },
  }, { after: part.dataset.position, state });

  function end(how) {
    stream.close();
    badge.dataset.state = "lost";
    badge.textContent = how;
  }
}

function onEntries({ html, last, high }) {
  refresh();
  if (!isLog) return;
  const found = entriesIn(html);
  const none = document.getElementById("none");
  if (none) { location.reload(); return; }
  const follow = log.isFollowed;
  const follows = Number(found.dataset.first) <= log.last + 1;
  if (follows) log.addAfter(found);
  log.list.dataset.high = Math.max(high, last);
  log.settle();
  if (follow) toBottom();
  else note(found.childElementCount || 1);
}

function note(count) {
  unseen += count;
  if (!fresh) return;
  fresh.textContent = `${unseen} new ↓`;
  fresh.hidden = false;
}

/** The counts on top, and a state or record that is shown, as they stand now; at most once a second. */
function refresh() {
  refreshing ||= setTimeout(async () => {
    refreshing = 0;
    const answer = await fetch(isLog ? light() : location.href).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    replaceText("facts", page);
    for (const tab of document.querySelectorAll(".tabs [data-log]")) {
      const now = page.querySelector(`.tabs [data-log="${CSS.escape(tab.dataset.log)}"] .badge`);
      if (now) tab.querySelector(".badge").textContent = now.textContent;
    }
    if (!isLog) replaceText("part", page);
  }, FACTS);
}

/** The same session without a log. */
function light() {
  const url = new URL(location.href);
  url.searchParams.set("view", "record");
  return url;
}

function replaceText(id, page) {
  const there = page.getElementById(id);
  if (there) document.getElementById(id).replaceChildren(...there.childNodes);
}

function tell(text) {
  const line = document.createElement("p");
  line.className = "note warn";
  line.textContent = text;
  (told ?? badge.parentElement).append(line);
}
