// Keeps "3 min ago" true while a page is open: every <time data-age>, in the words of the server.

const EVERY = 5000; // milliseconds
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

/** How long ago, or in how long. @param {string} moment in ISO 8601 */
export function age(moment) {
  const seconds = (Date.now() - new Date(moment)) / 1000;
  const length = Math.abs(seconds);
  const [unit, each] = UNITS.find(([, each]) => length >= each) || ["s", 1];
  if (length < 1) return "now";
  const text = `${Math.round(length / each)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** A <time> that is kept true. @param {string} moment in ISO 8601 */
export function aged(moment) {
  const shown = document.createElement("time");
  shown.dateTime = moment;
  shown.dataset.age = "";
  shown.title = `${moment.slice(0, 10)} ${moment.slice(11, 19)} UTC`;
  shown.textContent = age(moment);
  return shown;
}

function refresh() {
  for (const shown of document.querySelectorAll("time[data-age]")) {
    const text = age(shown.dateTime);
    if (shown.textContent !== text) shown.textContent = text;
  }
}

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
