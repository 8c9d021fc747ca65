// The one line that says how things stand; its texts come with the page, in its language.
const NOT_YET_MS = 60_000;
const SOCKET_PATIENCE_MS = 3_000;
const FAILURES_UNTIL_SAID = 2;
const SETTLED = new Set(["confirmed", "cancelled"]);

export class StateLine {
  #element;
  #paceSeconds;
  #deadline;
  #page = "";
  #line = "";
  #checking = false;
  #note = null;
  #noteTimer = 0;
  #failures = 0;
  #socketDown = false;
  #socketTimer = 0;
  #late = false;

  /** `paceSeconds()`, how often we ask, and `deadline()`, until when to pay, fill the sentences. */
  constructor(element, { paceSeconds, deadline }) {
    this.#element = element;
    this.#deadline = deadline;
    this.#paceSeconds = paceSeconds;
    this.socket(false);
  }

  drawn(page, line) {
    this.#page = page;
    this.#line = line;
    this.#note = null;
    this.#show();
  }

  checking(checking) {
    this.#checking = checking;
    this.#show();
  }

  /** Whether the deadline has passed here: a code past it is not called valid. */
  late(late) {
    this.#late = late;
    this.#show();
  }

  answered() {
    this.#failures = 0;
    this.#show();
  }

  failed() {
    this.#failures += 1;
    this.#show();
  }

  /** A connection that comes back within seconds is not worth a sentence. */
  socket(isLive) {
    if (isLive) {
      clearTimeout(this.#socketTimer);
      this.#socketTimer = 0;
      this.#setSocketDown(false);
    } else if (this.#socketTimer === 0) {
      // Each failed attempt reports again: the patience runs from the first.
      this.#socketTimer = setTimeout(() => this.#setSocketDown(true), SOCKET_PATIENCE_MS);
    }
  }

  /** Say `notYet` or `unanswered` for a minute after the shopper asked. */
  say(note) {
    clearTimeout(this.#noteTimer);
    this.#note = note;
    this.#noteTimer = setTimeout(() => {
      this.#note = null;
      this.#show();
    }, NOT_YET_MS);
    this.#show();
  }

  connectivity() {
    this.#show();
  }

  #setSocketDown(down) {
    this.#socketDown = down;
    this.#show();
  }

  #show() {
    const { text, trouble } = this.#sentence();
    this.#element.toggleAttribute("data-trouble", trouble);
    if (this.#element.textContent.trim() !== text) this.#element.textContent = text;
  }

  #sentence() {
    const texts = this.#element.dataset;
    const paced = (text) => text.replace("{seconds}", this.#paceSeconds());
    if (SETTLED.has(this.#page)) return { text: this.#line, trouble: false };
    if (!navigator.onLine) {
      const valid = this.#page === "waiting" && !this.#late;
      const text = valid ? texts.offline.replace("{time}", this.#deadline()) : texts.offlineLate;
      return { text, trouble: true };
    }
    if (this.#failures >= FAILURES_UNTIL_SAID)
      return { text: paced(texts.unreachable), trouble: true };
    if (this.#checking) return { text: texts.checking, trouble: false };
    if (this.#note !== null) return { text: texts[this.#note], trouble: false };
    if (this.#socketDown && this.#page === "waiting")
      return { text: paced(texts.noSocket), trouble: true };
    return { text: this.#line, trouble: false };
  }
}
