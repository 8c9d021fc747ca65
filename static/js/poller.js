// Polls one address for its state; a failed request does not stop it.
const TIMEOUT_MS = 4_000;
const HURRIED_MS = 2_000;
const BRISK_MS = 5_000;
const RESTING_MS = 60_000;
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
  #answered;
  #failed;
  #startedAt = performance.now();
  #hurriedUntil = 0;
  #briskUntil = 0;
  #resting = false;
  #etag = null;
  #timer = 0;
  #underway = null;

  /**
   * `answered(state | null)` is called with each answer, null for "not modified". It resolves to
   * true once the state is drawn; until then the same state is fetched again, so that a failed
   * drawing is retried.
   */
  constructor(url, { answered, failed }) {
    this.#url = url;
    this.#answered = answered;
    this.#failed = failed;
  }

  /** The slowest interval in whole seconds, which the page shows. */
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
    this.#hurriedUntil = Math.max(this.#hurriedUntil, now + fastMs);
    this.#briskUntil = Math.max(this.#briskUntil, now + briskMs);
    if (this.#underway === null) this.#schedule();
  }

  /** A settled payment hardly changes: ask once a minute. */
  rest(resting) {
    this.#resting = resting;
  }

  /** Ask now. `whole` asks for a body even if nothing changed, for the time left in it. */
  async ask({ whole = false } = {}) {
    this.#underway?.abort();
    clearTimeout(this.#timer);
    const mine = new AbortController();
    this.#underway = mine;
    try {
      await this.#request(whole, mine.signal);
    } catch {
      if (this.#underway === mine) this.#failed();
    } finally {
      if (this.#underway === mine) {
        this.#underway = null;
        this.#schedule();
      }
    }
  }

  async #request(whole, signal) {
    const headers = { Accept: "application/json" };
    if (this.#etag !== null && !whole) headers["If-None-Match"] = this.#etag;
    const response = await fetchWithin(this.#url, { headers }, { signal });
    if (response.status === 304) {
      await this.#answered(null);
      return;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    const drawn = await this.#answered(JSON.parse(response.text));
    this.#etag = drawn ? response.etag : null;
  }

  #schedule() {
    clearTimeout(this.#timer);
    const jitter = 0.9 + Math.random() * 0.2;
    this.#timer = setTimeout(() => this.ask(), this.#intervalMs() * jitter);
  }

  #intervalMs() {
    const now = performance.now();
    if (this.#resting) return RESTING_MS;
    if (now < this.#hurriedUntil) return HURRIED_MS;
    const pace = this.paceSeconds * 1000;
    return now < this.#briskUntil ? Math.min(pace, BRISK_MS) : pace;
  }
}
