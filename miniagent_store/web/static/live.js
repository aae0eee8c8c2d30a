// A stream of events that sleeps while nobody looks, and goes on where it stopped.

/**
 * @param {string} url of the stream, without `after=`
 * @param {Object<string, function(any, string): void>} handlers by the name of the event: its data, its id
 * @param {{after?: string, state?: function("open"|"lost"|"paused"): void, paused?: boolean}} options
 *   after: where to begin; state: is told how the stream stands; paused: whether to sleep in a hidden tab
 * @returns {{close: function(): void}}
 */
export function live(url, handlers, { after = "", state = () => {}, paused = true } = {}) {
  let source = null;
  let last = after;

  function open() {
    const address = new URL(url, location.href);
    if (last) address.searchParams.set("after", last);
    source = new EventSource(address);
    source.onopen = () => state("open");
    source.onerror = () => {
      state("lost");
      // A refusal, such as 503, ends an EventSource for good; the next try is ours.
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(() => { if (!source && !(paused && document.hidden)) open(); }, 1000);
      }
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) last = event.lastEventId;
        handle(JSON.parse(event.data), event.lastEventId);
      });
    }
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  if (paused) {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { close(); state("paused"); } else if (!source) open();
    });
  }
  if (!(paused && document.hidden)) open();
  return { close };
}
