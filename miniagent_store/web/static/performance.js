// The page of performance: plots that grow, and parts that the server makes anew when they have changed.
import { live } from "./live.js";
import { Plot } from "./plot.js";

const KEPT = 300; // points, which are ten minutes
const STATES = { open: "Live", lost: "Not reached, trying again", paused: "Paused" };

const amount = (value) => (value < 10 && value % 1 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
const ms = (value) => `${value && value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

function bytes(value) {
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < 4) { value /= 1024; unit += 1; }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

const KINDS = {
  throughput: [amount, 10, [["commits", "Commits", "--accent", true], ["messages", "Messages", "--plum"]]],
  latency: [ms, 10, [["read_p50", "Read p50", "--accent"], ["read_p95", "Read p95", "--warn"], ["list_p95", "List p95", "--plum"]]],
  memory: [bytes, 2, [["memory", "Held", "--accent", true]]],
  waits: [amount, 10, [["waiting", "Waiting", "--warn", true], ["retries", "Retries", "--bad"]]],
};

const page = document.getElementById("performance");
const badge = document.getElementById("live");
const plots = [...page.querySelectorAll("[data-plot]")].map((figure) => new Plot(figure, ...KINDS[figure.dataset.plot]));
const late = new Map(); // parts as they are to be, once nobody is busy with them
let points = {};

function more(columns, all) {
  for (const [name, values] of Object.entries(columns)) {
    points[name] = [...(all ? [] : points[name] || []), ...values].slice(-KEPT);
  }
  for (const plot of plots) plot.show(points);
  show();
}

/** Whether somebody reads or uses what would be replaced under their hands. */
function isBusy(part) {
  const selection = document.getSelection();
  const isSelected = !selection.isCollapsed && selection.containsNode(part, true);
  return isSelected || part.contains(document.activeElement);
}

function show() {
  for (const [each, newest] of late) {
    const part = document.querySelector(`[data-part="${each}"]`);
    if (part && isBusy(part)) continue;
    late.delete(each);
    if (!part) continue;
    const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
    // Made by our own templates, which escape all that they are given.
    part.innerHTML = newest;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  }
}

function part({ name, html }) {
  late.set(name, html);
  show();
}

function state(now) {
  badge.hidden = false;
  badge.dataset.state = now;
  badge.textContent = STATES[now];
}

live(page.dataset.live, { all: (columns) => more(columns, true), more: (columns) => more(columns, false), part }, { state });
