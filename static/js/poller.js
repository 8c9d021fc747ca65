// Polls a URL for the payment's state; a failed request does not stop the polling.
const TIMEOUT_MS = 4_000;
const HURRY_MS = 2_000;
const BRISK_MS = 5_000;
const REST_MS = 60_000;
const TRUSTED_MS = 30_000;
const DOUBT_SPREAD_MS = 1_000;
const PACE = [
  { untilMs: 2 * 60_000, everyMs: 5_000 },
  { untilMs: 10 * 60_000, everyMs: 10_000 },
  { untilMs: Infinity, everyMs: 15_000 },
];

/** Fetch with a timeout; the caller's own signal may abort earlier. */
export async function fetchWithin(url, options, { ms = TIMEOUT_MS, signal } = {}) {
  const control = new AbortController();
  const stop = () => control.abort();
  const timer = setTimeout(stop, ms);
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(url, { cache: "no-store", ...options, signal: control.signal });
    const text = await response.text();
    return { ok: response.ok, status: response.status, etag: response.headers.get("ETag"), text };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

export class Poller {
  #url;
  #onAnswer;
  #onFailure;
  #startedAt = performance.now();
  #hurryUntil = 0;
  #briskUntil = 0;
  #isResting = false;
  #isTrusted = false;
  #hasFailed = false;
  #etag = null;
  #timer = 0;
  #current = null;

  /**
   * `onAnswer(state | null)` is called with each answer, null for "not modified". It resolves to
   * true once the state is drawn; until then the same state is fetched again, so that a failed
   * drawing is retried.
   */
  constructor(url, { onAnswer, onFailure }) {
    this.#url = url;
    this.#onAnswer = onAnswer;
    this.#onFailure = onFailure;
  }

  /** The slowest interval without trust in whole seconds, which the page shows. */
  get paceSeconds() {
    const age = performance.now() - this.#startedAt;
    return PACE.find((step) => age < step.untilMs).everyMs / 1000;
  }

  start() {
    this.#schedule();
  }

  /** Every 2 s for `fastMs`, then at least every 5 s until `briskMs`. */
  hurry({ fastMs = 30_000, briskMs = 0 } = {}) {
    const now = performance.now();
    this.#hurryUntil = Math.max(this.#hurryUntil, now + fastMs);
    this.#briskUntil = Math.max(this.#briskUntil, now + briskMs);
    if (this.#current === null) this.#schedule();
  }

  /** Ask once a minute, because a payment in a final state hardly changes. */
  rest(isResting) {
    this.#isResting = isResting;
  }

  /**
   * Ask rarely while a socket brings the changes; at once, and at the usual pace, when that is in
   * doubt. Pages whose server goes all begin to doubt together, so they ask within a second.
   */
  trust(isTrusted) {
    if (isTrusted === this.#isTrusted) return;
    this.#isTrusted = isTrusted;
    if (this.#current !== null) return;
    if (isTrusted || this.#isResting) this.#schedule();
    else this.#askIn(Math.random() * DOUBT_SPREAD_MS);
  }

  /** Ask now. `whole` asks for a body even if nothing changed: it has the time left. */
  async ask({ whole = false } = {}) {
    this.#current?.abort();
    clearTimeout(this.#timer);
    const control = new AbortController();
    this.#current = control;
    try {
      await this.#request(whole, control.signal);
      this.#hasFailed = false;
    } catch {
      if (this.#current === control) {
        this.#hasFailed = true;
        this.#onFailure();
      }
    } finally {
      if (this.#current === control) {
        this.#current = null;
        this.#schedule();
      }
    }
  }

  async #request(whole, signal) {
    const headers = { Accept: "application/json" };
    if (this.#etag !== null && !whole) headers["If-None-Match"] = this.#etag;
    const response = await fetchWithin(this.#url, { headers }, { signal });
    if (response.status === 304) {
      await this.#onAnswer(null);
      return;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    const isDrawn = await this.#onAnswer(JSON.parse(response.text));
    this.#etag = isDrawn ? response.etag : null;
  }

  #schedule() {
    const jitter = 0.9 + Math.random() * 0.2;
    this.#askIn(this.#intervalMs() * jitter);
  }

  #askIn(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.ask(), milliseconds);
  }

  #intervalMs() {
    const now = performance.now();
    if (this.#isResting) return REST_MS;
    if (now < this.#hurryUntil) return HURRY_MS;
    const isTrusted = this.#isTrusted && !this.#hasFailed;
    const pace = isTrusted ? TRUSTED_MS : this.paceSeconds * 1000;
    return now < this.#briskUntil ? Math.min(pace, BRISK_MS) : pace;
  }
}
