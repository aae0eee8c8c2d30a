// The list of sessions while it is open: numbers and rows are kept true where they stand. Rows do not move and
// none come in between; a link tells of sessions that would now stand above.

import { aged } from "./ages.js";
import { live } from "./live.js";

const SAID = { open: "Live", lost: "Connection lost", paused: "Paused" };

const table = document.getElementById("sessions");
const badge = document.getElementById("live");
const news = document.getElementById("news");
const trouble = document.getElementById("trouble");
const rows = new Map([...table.querySelectorAll("tr[data-id]")].map((row) => [row.dataset.id, row]));
const others = new Set();
let more = false;

function tellNews() {
  const count = `${others.size}${more ? "+" : ""}`;
  news.hidden = others.size === 0;
  news.textContent = others.size === 1 && !more ? "1 new: show it" : `${count} new: show them`;
}

function put(row, name, value) {
  const cell = row.querySelector(`[data-cell=${name}]`);
  cell.replaceChildren(value);
}

function never() {
  const shown = document.createElement("span");
  shown.className = "soft";
  shown.textContent = "never";
  return shown;
}

function change(row, session) {
  if (row.dataset.version === String(session.version)) return;
  row.dataset.version = session.version;
  row.classList.remove("is-gone");
  row.classList.add("is-fresh");
  put(row, "messages", session.messages);
  put(row, "size", session.size);
  put(row, "active", aged(session.active));
  put(row, "expires", session.expires ? aged(session.expires) : never());
}

live(table.dataset.live, {
  counters(numbers) {
    trouble.hidden = true;
    for (const shown of document.querySelectorAll("[data-counter]")) {
      const text = numbers[shown.dataset.counter];
      if (shown.textContent !== text) shown.textContent = text;
    }
  },
  changed({ sessions, more: isMore }) {
    more ||= isMore;
    for (const session of sessions) {
      const row = rows.get(session.id);
      if (row) change(row, session);
      else others.add(session.id);
    }
    tellNews();
  },
  gone({ ids }) {
    for (const id of ids) {
      rows.get(id)?.classList.add("is-gone");
      others.delete(id);
    }
    tellNews();
  },
  trouble({ text }) {
    trouble.textContent = text;
    trouble.hidden = false;
  },
}, {
  after: table.dataset.after,
  state(state) {
    badge.hidden = false;
    badge.dataset.state = state;
    badge.textContent = SAID[state];
  },
});
