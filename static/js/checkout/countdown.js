// Counts the time left by the monotonic clock, because the wall clock may be wrong.
const SPEAK_AT = [10, 5, 1];
const NEAR_MS = 5 * 60_000;
const LAST_MS = 60_000;
const SLEEP_MS = 2_000;
const DAYS_FROM_S = 2 * 86_400;

/** mm:ss, h:mm:ss from one hour, whole days from two days: as the server writes it. */
export function timeLeft(remainingMs, daysText) {
  const seconds = Math.max(Math.ceil(remainingMs / 1000), 0);
  const pad = (number) => String(number).padStart(2, "0");
  if (seconds >= DAYS_FROM_S) return daysText.replace("{days}", Math.floor(seconds / 86_400));
  const clock = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return seconds >= 3_600 ? `${Math.floor(seconds / 3_600)}:${clock}` : clock;
}

export class Countdown {
  #root;
  #onZero;
  #speak;
  #onWake;
  #deadline = null;
  #lastMs = Infinity;
  #drift = Date.now() - performance.now();
  #timer = 0;

  /** `onZero()` once per deadline, `speak(minutes)` at 10, 5 and 1, `onWake()` after a sleep. */
  constructor(root, { onZero, speak, onWake }) {
    this.#root = root;
    this.#onZero = onZero;
    this.#speak = speak;
    this.#onWake = onWake;
  }

  get remainingMs() {
    return this.#deadline === null ? Infinity : this.#deadline - performance.now();
  }

  /** Set the time left as the server counts it. */
  sync(remainingMs) {
    this.#deadline = performance.now() + remainingMs;
    this.#lastMs = remainingMs;
    this.#tick();
  }

  stop() {
    this.#deadline = null;
    clearTimeout(this.#timer);
  }

  #tick() {
    clearTimeout(this.#timer);
    const ms = this.remainingMs;
    this.#draw(ms);
    this.#noticeMinutes(ms);
    this.#noticeSleep();
    if (ms <= 0) {
      this.#deadline = null;
      this.#onZero();
    } else {
      this.#timer = setTimeout(() => this.#tick(), (ms % 1000) + 5);
    }
  }

  #draw(ms) {
    const figure = this.#root.querySelector("[data-countdown]");
    if (figure === null) return;
    figure.textContent = timeLeft(ms, figure.dataset.days);
    const { classList } = figure.closest("[data-deadline]");
    classList.toggle("deadline--near", ms < NEAR_MS);
    classList.toggle("deadline--last", ms < LAST_MS);
  }

  #noticeMinutes(ms) {
    const minutes = SPEAK_AT.filter((m) => this.#lastMs > m * 60_000 && ms <= m * 60_000);
    this.#lastMs = ms;
    if (minutes.length > 0 && ms > 0) this.#speak(Math.min(...minutes));
  }

  // The monotonic clock may stop while a laptop sleeps; the wall clock does not.
  #noticeSleep() {
    const drift = Date.now() - performance.now();
    if (Math.abs(drift - this.#drift) > SLEEP_MS) this.#onWake();
    this.#drift = drift;
  }
}
