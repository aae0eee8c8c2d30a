// The slider through a log: what stood when each of its entries was the last.

const STEP = 900; // milliseconds between two entries that play
const REST = 350; // after the last move, until what stood beside is asked for

/**
 * @param {HTMLFormElement} form
 * @param {import("./session-window.js").Window} log
 * @param {function(string): void} failed
 */
export function replay(form, log, failed) {
  const slider = form.elements.at, play = document.getElementById("replay-play");
  const text = document.getElementById("replay-text");
  let playing = 0, resting = 0, busy = false;

  async function show() {
    clearTimeout(resting);
    if (busy) return; // the loop below sees where the slider stands
    busy = true;
    try {
      for (let at = null; at !== slider.value;) {
        at = slider.value;
        await log.go({ at });
        text.textContent = `as it stood at #${log.last}`;
        log.list.lastElementChild?.scrollIntoView({ block: "end", behavior: "instant" });
      }
      resting = setTimeout(beside, REST);
    } catch (error) {
      stop();
      failed(error.message);
    } finally {
      busy = false;
    }
  }

  /** The rest of the session at that time, and the address. */
  async function beside() {
    const url = new URL(location.href);
    url.hash = "";
    url.searchParams.set("at", slider.value);
    history.replaceState(null, "", url);
    const answer = await fetch(url);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["replay-text", "replay-beside"]) {
      const there = page.getElementById(id);
      if (there) document.getElementById(id).replaceChildren(...there.childNodes);
    }
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function step() {
    if (Number(slider.value) >= Number(slider.max)) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  }

  document.getElementById("replay-show").hidden = true;
  play.hidden = false;
  play.addEventListener("click", () => {
    if (playing) return stop();
    if (slider.value === slider.max) { slider.value = slider.min; show(); }
    playing = setInterval(step, STEP);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  });
  slider.addEventListener("input", () => { show(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
}
