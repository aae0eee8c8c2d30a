// The part of a long log that is in the page: more is loaded on either side as one scrolls, and what is far away goes.

// Entries in the page; each load adds 60. Laying out more takes long, and nobody sees them.
const MOST = 420;
// Pixels before the end of what is loaded at which more is asked for.
const AHEAD = "1600px 0px";

export class Window {
  /**
   * @param {HTMLElement} part holds the list, and says in data-entries where more of it is
   * @param {function(HTMLElement): void} changed is told after entries came
   */
  constructor(part, changed) {
    this.part = part;
    this.list = part.querySelector("#entries");
    this.older = part.querySelector("#older");
    this.newer = part.querySelector("#newer");
    this.changed = changed;
    this.asked = 0;
    this.observer = new IntersectionObserver((seen) => this.onSeen(seen), { rootMargin: AHEAD });
    for (const end of [this.older, this.newer]) if (end) this.observer.observe(end);
  }

  get first() { return Number(this.list.dataset.first); }
  get last() { return Number(this.list.dataset.last); }
  get low() { return Number(this.list.dataset.low); }
  get high() { return Number(this.list.dataset.high); }
  set high(seq) { this.list.dataset.high = seq; this.show(); }
  get isAtEnd() { return this.last >= this.high; }

  entry(seq) { return this.list.querySelector(`#m${seq}`); }

  /** Entries by what the server is asked for: {before}, {after}, {around}, {at} or nothing for the newest. */
  async fetched(asked) {
    const url = new URL(this.part.dataset.entries, location.href);
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    return entriesIn(await answer.text());
  }

  /** Show another part of the log instead; false if something else was asked for meanwhile. */
  async go(asked) {
    const number = ++this.asked;
    const found = await this.fetched(asked);
    if (number !== this.asked) return false;
    this.list.replaceChildren(...found.children);
    for (const name of ["first", "last", "low", "high"]) this.list.dataset[name] = found.dataset[name];
    this.settle();
    return true;
  }

  async onSeen(seen) {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting && !target.hidden && !this.isLoading) {
        await this.more(target === this.older);
        return;
      }
    }
  }

  /** More on one side. */
  async more(isOlder) {
    const { first, last } = this;
    this.isLoading = true;
    try {
      const found = await this.fetched(isOlder ? { before: first } : { after: last });
      // Else something else is shown by now, or what is live was first.
      if (isOlder ? this.first === first : this.last === last) {
        if (isOlder) this.addBefore(found);
        else this.addAfter(found);
        this.list.dataset.high = Math.max(this.high, Number(found.dataset.high));
        this.list.dataset.low = found.dataset.low;
      }
    } catch {
      return; // its link is still there, to be clicked
    } finally {
      this.isLoading = false;
      this.settle();
    }
    // An end that is still near is not told of again by itself.
    for (const end of [this.older, this.newer]) {
      if (end) { this.observer.unobserve(end); this.observer.observe(end); }
    }
  }

  addBefore(found) {
    if (!found.children.length) { this.list.dataset.low = this.first; return; }
    this.keepPlace(() => {
      this.list.prepend(...found.children);
      this.list.dataset.first = found.dataset.first;
      while (this.list.children.length > MOST) this.list.lastElementChild.remove();
      this.list.dataset.last = this.list.lastElementChild.dataset.until;
    });
  }

  /** Entries behind the last ones; any that are there already are replaced. */
  addAfter(found) {
    if (!found.children.length) return;
    this.keepPlace(() => {
      for (const entry of [...found.children]) {
        const there = this.entry(entry.dataset.seq);
        if (there) there.replaceWith(entry);
        else this.list.append(entry);
      }
      this.list.dataset.last = this.list.lastElementChild.dataset.until;
      while (this.list.children.length > MOST) this.list.firstElementChild.remove();
      this.list.dataset.first = this.list.firstElementChild.dataset.seq;
    });
  }

  /** Forget what is no longer what it was. */
  dropFrom(seq) {
    for (const entry of [...this.list.children]) {
      if (Number(entry.dataset.until) >= seq) entry.remove();
    }
    this.list.dataset.last = Math.min(this.last, seq - 1);
    this.list.dataset.first = Math.min(this.first, seq);
    this.list.dataset.high = Math.min(this.high, seq - 1);
    this.settle();
  }

  /** Whether the end of the log is in sight, and so is to stay there. */
  get isFollowed() {
    return this.isAtEnd && innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
  }

  /** What the reader looks at stays where it is while something above it changes. */
  keepPlace(change) {
    if (this.isFollowed) {
      change();
      toBottom();
      return;
    }
    const anchor = [...this.list.children].find((each) => each.getBoundingClientRect().bottom > 0);
    const top = anchor && anchor.getBoundingClientRect().top;
    change();
    if (anchor && anchor.isConnected) {
      const moved = anchor.getBoundingClientRect().top - top;
      if (Math.abs(moved) > 1) scrollBy({ top: moved, behavior: "instant" });
    }
  }

  settle() {
    this.show();
    this.changed(this.list);
  }

  show() {
    if (this.older) this.older.hidden = this.first <= this.low;
    if (this.newer) this.newer.hidden = this.isAtEnd;
    const first = document.getElementById("first"), last = document.getElementById("last");
    if (first) { first.textContent = this.first; last.textContent = this.last; }
  }
}

/** To the end of the page, which moves a few times: heights are known only of what has been in sight. */
export function toBottom() {
  let frames = 12;
  (function down() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    if (--frames) requestAnimationFrame(down);
  })();
}

/** The list in an answer of the server, which has escaped what people wrote. */
export function entriesIn(html) {
  return new DOMParser().parseFromString(html, "text/html").getElementById("entries");
}
