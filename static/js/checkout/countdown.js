// Counts the time left by the page's own monotonic clock, so a wrong wall clock does not matter.
const SPOKEN_MINUTES = [10, 5, 1];
const NEAR_MS = 5 * 60_000;
const SLEPT_MS = 2_000;
const DAYS_FROM_S = 2 * 86_400;

/** mm:ss, h:mm:ss from an hour on, whole days from two days on: the shapes the server renders. */
export function timeLeft(remainingMs, daysText) {
  const seconds = Math.max(Math.ceil(remainingMs / 1000), 0);
  const pad = (number) => String(number).padStart(2, "0");
  if (seconds >= DAYS_FROM_S) return daysText.replace("{days}", Math.floor(seconds / 86_400));
  const clock = `${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
  return seconds >= 3_600 ? `${Math.floor(seconds / 3_600)}:${clock}` : clock;
}

export class Countdown {
  #root;
  #atZero;
  #speak;
  #slept;
  #deadline = null;
  #lastLeft = Infinity;
  #drift = Date.now() - performance.now();
  #timer = 0;

  /** `atZero()` once per deadline, `speak(minutes)` at 10, 5 and 1, `slept()` after a sleep. */
  constructor(root, { atZero, speak, slept }) {
    this.#root = root;
    this.#atZero = atZero;
    this.#speak = speak;
    this.#slept = slept;
  }

  get leftMs() {
    return this.#deadline === null ? Infinity : this.#deadline - performance.now();
  }

  /** Take the server's count, in milliseconds; it replaces whatever was counted here. */
  sync(remainingMs) {
    this.#deadline = performance.now() + remainingMs;
    this.#lastLeft = remainingMs;
    this.#tick();
  }

  stop() {
    this.#deadline = null;
    clearTimeout(this.#timer);
  }

  #tick() {
    clearTimeout(this.#timer);
    const left = this.leftMs;
    this.#draw(left);
    this.#noticeMinutes(left);
    this.#noticeSleep();
    if (left <= 0) {
      this.#deadline = null;
      this.#atZero();
    } else {
      this.#timer = setTimeout(() => this.#tick(), (left % 1000) + 5);
    }
  }

  #draw(left) {
    const figure = this.#root.querySelector("[data-countdown]");
    if (figure === null) return;
    figure.textContent = timeLeft(left, figure.dataset.days);
    figure.closest("[data-deadline]").classList.toggle("deadline--near", left < NEAR_MS);
  }

  #noticeMinutes(left) {
    const crossed = SPOKEN_MINUTES.filter((m) => this.#lastLeft > m * 60_000 && left <= m * 60_000);
    this.#lastLeft = left;
    if (crossed.length > 0 && left > 0) this.#speak(Math.min(...crossed));
  }

  // The monotonic clock may stand still while a laptop sleeps; the wall clock tells.
  #noticeSleep() {
    const drift = Date.now() - performance.now();
    if (Math.abs(drift - this.#drift) > SLEPT_MS) this.#slept();
    this.#drift = drift;
  }
}
