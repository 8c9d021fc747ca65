// The line that says the payment's state; the page has the texts.
const NOTE_MS = 60_000;
const SOCKET_GRACE_MS = 3_000;
const FAILURES_MIN = 2;
const FINAL = new Set(["confirmed", "refunded", "cancelled"]);

export class StateLine {
  #element;
  #paceSeconds;
  #deadline;
  #page = "";
  #line = "";
  #isChecking = false;
  #note = null;
  #noteTimer = 0;
  #failures = 0;
  #isSocketDown = false;
  #socketTimer = 0;
  #isLate = false;

  /** `paceSeconds()` and `deadline()` fill the placeholders of the sentences. */
  constructor(element, { paceSeconds, deadline }) {
    this.#element = element;
    this.#deadline = deadline;
    this.#paceSeconds = paceSeconds;
    this.setSocket(false);
  }

  setPage(page, line) {
    this.#page = page;
    this.#line = line;
    this.#note = null;
    this.#show();
  }

  setChecking(isChecking) {
    this.#isChecking = isChecking;
    this.#show();
  }

  /** After the deadline, the line does not call the code valid. */
  setLate(isLate) {
    this.#isLate = isLate;
    this.#show();
  }

  succeed() {
    this.#failures = 0;
    this.#show();
  }

  fail() {
    this.#failures += 1;
    this.#show();
  }

  /** A connection that returns within seconds is not mentioned. */
  setSocket(isLive) {
    if (isLive) {
      clearTimeout(this.#socketTimer);
      this.#socketTimer = 0;
      this.#setSocketDown(false);
    } else if (this.#socketTimer === 0) {
      // Each failed attempt calls this; the timer runs from the first.
      this.#socketTimer = setTimeout(() => this.#setSocketDown(true), SOCKET_GRACE_MS);
    }
  }

  /** Say `notYet` or `unanswered` for a minute after the shopper asked. */
  say(note) {
    clearTimeout(this.#noteTimer);
    this.#note = note;
    this.#noteTimer = setTimeout(() => {
      this.#note = null;
      this.#show();
    }, NOTE_MS);
    this.#show();
  }

  update() {
    this.#show();
  }

  #setSocketDown(isDown) {
    this.#isSocketDown = isDown;
    this.#show();
  }

  #show() {
    const { text, trouble } = this.#sentence();
    this.#element.toggleAttribute("data-trouble", trouble);
    if (this.#element.textContent.trim() !== text) this.#element.textContent = text;
  }

  #sentence() {
    const texts = this.#element.dataset;
    const fill = (text) => text.replace("{seconds}", this.#paceSeconds());
    if (FINAL.has(this.#page)) return { text: this.#line, trouble: false };
    if (!navigator.onLine) {
      const isValid = this.#page === "waiting" && !this.#isLate;
      const text = isValid ? texts.offline.replace("{time}", this.#deadline()) : texts.offlineLate;
      return { text, trouble: true };
    }
    if (this.#failures >= FAILURES_MIN)
      return { text: fill(texts.unreachable), trouble: true };
    if (this.#isChecking) return { text: texts.checking, trouble: false };
    if (this.#note !== null) return { text: texts[this.#note], trouble: false };
    if (this.#isSocketDown && this.#page === "waiting")
      return { text: fill(texts.noSocket), trouble: true };
    return { text: this.#line, trouble: false };
  }
}
