/** HTTP with timeouts and retries, by the global fetch. */

import { setTimeout as sleep } from "node:timers/promises";

import { bytesOf, errorOf, parseJson } from "./answers.js";
import { ApiError, BalcaoError, ConnectionFailed } from "./errors.js";
import { VERSION } from "./version.js";

export const RETRIED_STATUSES = new Set([429, 502, 503, 504]);
/** The service sends them before it does anything, so even an unsafe request may be repeated. */
const NOTHING_DONE_STATUSES = new Set([429, 503]);
const RETRIES = { attempts: 4, baseMs: 500, pauseMaxMs: 8_000, retryAfterMaxMs: 60_000 };
const TIMEOUT_MS = 30_000;

/** Milliseconds to wait after this failed attempt (1 is the first); null to give up. */
export function pauseAfter(policy, attempt, retryAfterMs) {
  if (attempt >= policy.attempts) return null;
  if (retryAfterMs !== null) {
    // The jitter keeps many clients from returning in the same instant.
    const isTooLong = retryAfterMs > policy.retryAfterMaxMs;
    return isTooLong ? null : retryAfterMs + Math.random() * policy.baseMs;
  }
  return Math.random() * Math.min(policy.baseMs * 2 ** (attempt - 1), policy.pauseMaxMs);
}

/** Sends requests to one base URL with one API key. */
export class Transport {
  /** Throws TypeError for an address that is not http or https, and for an impossible key. */
  constructor(baseUrl, { apiKey, timeoutMs = TIMEOUT_MS, retries } = {}) {
    this.baseUrl = baseOf(baseUrl);
    if (apiKey && !/^[\x21-\x7e]+$/.test(apiKey)) {
      throw new TypeError("The API key has characters that no key has.");
    }
    this.timeoutMs = timeoutMs;
    this.retries = { ...RETRIES, ...retries };
    this.headers = { "User-Agent": `balcao-node/${VERSION}`, Accept: "application/json" };
    if (apiKey) this.headers.Authorization = `Bearer ${apiKey}`;
    /** Waits between attempts; tests replace it. */
    this.sleep = (ms, signal) => sleep(ms, undefined, { signal });
  }

  /**
   * Send a request, with retries; resolves to the parsed JSON, or null for an empty answer.
   *
   * `isSafe` says that a repetition changes nothing more, also because it has an Idempotency-Key.
   * Otherwise it is repeated only if the service cannot have acted on it. Rejects with ApiError,
   * ConnectionFailed and UnexpectedAnswer, and with the reason of `signal`.
   */
  async request(method, path, { query, body, headers, signal, isSafe = true } = {}) {
    const url = this.urlOf(path, query);
    const init = { method, headers: { ...this.headers, ...headers } };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers["Content-Type"] = "application/json";
    }
    for (let attempt = 1; ; attempt += 1) {
      let error;
      try {
        return await this.send(url, init, signal);
      } catch (failure) {
        error = failure;
      }
      const pauseMs = this.mayRepeat(error, isSafe)
        ? pauseAfter(this.retries, attempt, error.retryAfterMs ?? null)
        : null;
      if (pauseMs === null) throw error;
      await this.pause(pauseMs, signal);
    }
  }

  /**
   * Open an answer that is read while it arrives, without retries; abort `signal` to close it.
   *
   * Rejects with ApiError and ConnectionFailed.
   */
  async openStream(path, { query, headers, signal }) {
    const init = { method: "GET", headers: { ...this.headers, ...headers } };
    return await this.fetch(this.urlOf(path, query), init, signal);
  }

  /** Wait; rejects with the reason of `signal` once it is aborted. */
  async pause(ms, signal) {
    try {
      await this.sleep(ms, signal);
    } catch (error) {
      throw signal?.aborted ? signal.reason : error;
    }
  }

  mayRepeat(error, isSafe) {
    if (error instanceof ApiError) {
      return (isSafe ? RETRIED_STATUSES : NOTHING_DONE_STATUSES).has(error.status);
    }
    return error instanceof ConnectionFailed && (isSafe || error.cause?.code === "ECONNREFUSED");
  }

  async send(url, init, signal) {
    // AbortSignal.any does not exist in Node 18.
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    const timer = setTimeout(() => {
      controller.abort(new ConnectionFailed(`No answer within ${this.timeoutMs} ms.`));
    }, this.timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    try {
      const response = await this.fetch(url, init, controller.signal);
      const bytes = await readAll(response, controller.signal);
      return bytes.length === 0 ? null : parseJson(bytes);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** A successful response. Redirects are not followed: they would carry the API key away. */
  async fetch(url, init, signal) {
    let response;
    try {
      response = await fetch(url, { ...init, signal, redirect: "manual" });
    } catch (error) {
      throw connectionError(error, signal, `No answer from ${this.baseUrl}`);
    }
    if (response.ok) return response;
    throw errorOf(response, await readAll(response, signal));
  }

  urlOf(path, query = {}) {
    const url = new URL(this.baseUrl + path);
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined || value === null) continue;
      url.searchParams.set(name, value instanceof Date ? value.toISOString() : String(value));
    }
    return url;
  }
}

async function readAll(response, signal) {
  try {
    return await bytesOf(response);
  } catch (error) {
    throw connectionError(error, signal, "The answer broke off");
  }
}

/** The error to report for a failed fetch or read. */
export function connectionError(error, signal, what) {
  if (signal?.aborted) return signal.reason;
  if (error instanceof BalcaoError) return error;
  const cause = error?.cause ?? error;
  return new ConnectionFailed(`${what}: ${cause?.code ?? cause?.message ?? cause}.`, { cause });
}

function baseOf(text) {
  const message = "The address of Balcão must be like https://pay.example.";
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError(message);
  }
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  if (!isWeb || url.search || url.hash || url.username || url.password)
    throw new TypeError(message);
  return url.href.replace(/\/+$/, "");
}
