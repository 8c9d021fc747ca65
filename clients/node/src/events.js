/** The merchant's events: as a list, and as a stream that resumes after each interruption. */

import { isObject, requirePage } from "./answers.js";
import { ApiError, ConnectionFailed, UnexpectedAnswer } from "./errors.js";
import { allOf } from "./pages.js";
import { RETRIED_STATUSES, connectionError } from "./transport.js";

/** The service sends at least a comment each 15 s; a longer silence is a dead connection. */
const STREAM_SILENCE_MS = 45_000;
const LINE_CHARACTERS_MAX = 4_000_000;
const RECONNECT_PAUSE_MIN_MS = 250;
const RECONNECT_PAUSE_MAX_MS = 10_000;
const GIVE_UP_AFTER_MS = 300_000;
const PATH = "/events";

/** The merchant's events, oldest first. */
export class Events {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  /** One page of events after the event `after`; `type` filters, `limit` is 1 to 100. */
  async page({ after, type, limit } = {}, { signal } = {}) {
    const query = { after, type, limit };
    return requirePage(await this.#transport.request("GET", PATH, { query, signal }));
  }

  /** All events after the event `after`, fetched page by page, up to the newest. */
  list({ after, type } = {}, options = {}) {
    return allOf((next) => this.page({ after: next, type, limit: 100 }, options), after);
  }

  /**
   * Events as they happen: each exactly once, in order, over interruptions of any kind.
   *
   * Without `after` the stream begins with the next event; with it, after the event of this id, and
   * with `start` before the oldest event. Store the id of the last event that you handled and pass it as `after` at your next start. End the
   * stream with `break`, or by `signal`, whose reason is then thrown.
   *
   * `onConnect()` is called when the stream has begun: nothing is missed from then on.
   * `onInterruption(error, pauseMs)` hears of each reconnect. After `giveUpAfterMs` without a sign of
   * life the last error is thrown; Infinity never gives up. An error that a retry cannot mend, such
   * as Unauthorized, is thrown at once.
   */
  async *stream({ after, type } = {}, options = {}) {
    const { signal, onConnect, onInterruption, giveUpAfterMs = GIVE_UP_AFTER_MS } = options;
    const place = { lastId: after };
    let failures = 0;
    let silentSince = performance.now();
    for (;;) {
      let error;
      try {
        for await (const event of this.#connection(place, type, signal, onConnect)) {
          failures = 0;
          if (event !== null) {
            yield event;
            place.lastId = event.id;
          }
          silentSince = performance.now();
        }
        error = new ConnectionFailed("The service closed the stream.");
      } catch (failure) {
        if (!canMend(failure, signal)) throw failure;
        error = failure;
      }
      failures += 1;
      if (performance.now() - silentSince > giveUpAfterMs) throw error;
      const pauseMs = pauseAfter(failures, error);
      onInterruption?.(error, pauseMs);
      await this.#transport.pause(pauseMs, signal);
    }
  }

  /** The events of one connection; null for each other sign of life. */
  async *#connection(place, type, signal, onConnect) {
    const controller = new AbortController();
    const abort = () => controller.abort(signal.reason);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    const headers = { Accept: "text/event-stream", "Cache-Control": "no-store" };
    if (place.lastId !== undefined) headers["Last-Event-ID"] = place.lastId;
    try {
      const opening = this.#transport.openStream(PATH, {
        query: { type },
        headers,
        signal: controller.signal,
      });
      const response = await notSilent(opening, controller);
      if (!/^text\/event-stream *(;|$)/i.test(response.headers.get("content-type") ?? "")) {
        throw new UnexpectedAnswer("The answer is no stream of events: is this Balcão?");
      }
      let hasBegun = false;
      for await (const message of readMessages(readLines(response.body, controller))) {
        if (message.data === null && message.id) place.lastId = message.id;
        if (!hasBegun) onConnect?.();
        hasBegun = true;
        if (message.data === null) {
          yield null;
        } else {
          yield parseEvent(message.data);
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      controller.abort();
    }
  }
}

function canMend(error, signal) {
  if (signal?.aborted) return false;
  if (error instanceof ApiError) return RETRIED_STATUSES.has(error.status);
  return error instanceof ConnectionFailed || error instanceof UnexpectedAnswer;
}

function pauseAfter(failures, error) {
  if (typeof error.retryAfterMs === "number") {
    return Math.min(error.retryAfterMs, 60_000) + Math.random() * RECONNECT_PAUSE_MIN_MS;
  }
  const doubled = RECONNECT_PAUSE_MIN_MS * 2 ** Math.min(failures - 1, 10);
  const longestMs = Math.min(doubled, RECONNECT_PAUSE_MAX_MS);
  return longestMs * (0.5 + Math.random() / 2);
}

/** The promise's result. Aborts if it takes too long; time between two waits does not count. */
async function notSilent(promise, controller) {
  const timer = setTimeout(() => {
    controller.abort(new ConnectionFailed("The stream was silent for too long."));
  }, STREAM_SILENCE_MS);
  try {
    return await promise;
  } catch (error) {
    throw connectionError(error, controller.signal, "The connection of the stream broke");
  } finally {
    clearTimeout(timer);
  }
}

/** The lines without their ends; a line that the end cuts off is left out. */
async function* readLines(body, controller) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await notSilent(reader.read(), controller);
    if (done) return;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    if (rest.length > LINE_CHARACTERS_MAX) {
      throw new UnexpectedAnswer("A line of the stream is too long.");
    }
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }
}

/**
 * The messages of a text/event-stream, by the rules of the HTML standard.
 *
 * Comments are messages without data: signs of life. A message that the end cuts off is left out: it
 * is sent again after the reconnect.
 */
export async function* readMessages(lines) {
  let data = [];
  let size = 0;
  let id = null;
  for await (const line of lines) {
    if (line === "") {
      yield { id, data: data.length > 0 ? data.join("\n") : null };
      data = [];
      size = 0;
      id = null;
      continue;
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (name === "" && line.startsWith(":")) yield { id: null, data: null };
    if (name === "id" && !value.includes("\0")) id = value;
    if (name === "data") {
      size += value.length;
      if (size > LINE_CHARACTERS_MAX) {
        throw new UnexpectedAnswer("An event in the stream is too large.");
      }
      data.push(value);
    }
  }
}

function parseEvent(text) {
  let event;
  try {
    event = JSON.parse(text);
  } catch (cause) {
    throw new UnexpectedAnswer("An event in the stream is not JSON.", { cause });
  }
  if (!isObject(event) || typeof event.id !== "string" || typeof event.type !== "string") {
    throw new UnexpectedAnswer("An event in the stream has no id or no type.");
  }
  return event;
}
