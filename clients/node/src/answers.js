/** Reading answers: bounded bytes, JSON, and the errors of problem documents. */

import * as errors from "./errors.js";

export const ANSWER_BYTES_MAX = 16_000_000;

/** The bytes of an answer. Rejects with UnexpectedAnswer if there are too many. */
export async function bytesOf(response) {
  const parts = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > ANSWER_BYTES_MAX) {
      throw new errors.UnexpectedAnswer(`The answer has more than ${ANSWER_BYTES_MAX} bytes.`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The parsed JSON. Throws UnexpectedAnswer. */
export function parseJson(bytes) {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw new errors.UnexpectedAnswer("The answer is not JSON: is this the address of Balcão?", {
      cause,
    });
  }
}

/** Whether it is a JSON object, so that its fields can be read. */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object. Throws UnexpectedAnswer if it is something else. */
export function requireObject(value, what) {
  if (!isObject(value)) throw new errors.UnexpectedAnswer(`The service answered without ${what}.`);
  return value;
}

/** The page of a list. Throws UnexpectedAnswer. */
export function requirePage(value) {
  const { data, next = null } = requireObject(value, "a list");
  if (!Array.isArray(data) || !(next === null || typeof next === "string")) {
    throw new errors.UnexpectedAnswer("The service answered without a list.");
  }
  return { data, next };
}

/** The error of an answer that is no success; `body` are its bytes. */
export function errorOf(response, body) {
  const { status, headers } = response;
  if (status >= 300 && status < 400) {
    const target = String(headers.get("location")).slice(0, 200);
    return new errors.UnexpectedAnswer(
      `The service redirects to "${target}": use that address if you trust it.`,
    );
  }
  let members = {};
  try {
    const parsed = JSON.parse(body.toString("utf8"));
    if (isObject(parsed)) members = parsed;
  } catch {
    // A proxy's page: status and headers still say what happened.
  }
  const text = (value) => (typeof value === "string" && value !== "" ? value : undefined);
  const code = text(members.code) ?? `http-${status}`;
  const detail =
    text(members.detail) ?? text(members.message) ?? `The service answered with status ${status}.`;
  return new (errors.classOf(code, status))(status, code, detail, {
    errors: Array.isArray(members.errors) ? members.errors.filter(isObject) : [],
    requestId: text(members.request_id) ?? headers.get("x-request-id"),
    retryAfterMs: retryAfterMs(headers.get("retry-after")),
  });
}

/** The milliseconds of a Retry-After, which has seconds or a date; null if it has neither. */
export function retryAfterMs(text, now = Date.now()) {
  const trimmed = (text ?? "").trim();
  if (/^[0-9]{1,9}$/.test(trimmed)) return Number(trimmed) * 1000;
  const at = /[a-z]/i.test(trimmed) ? Date.parse(trimmed) : NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}
