/** Webhook signatures according to Standard Webhooks (https://www.standardwebhooks.com). */

import { createHmac, timingSafeEqual } from "node:crypto";

import { isObject } from "./answers.js";
import { WebhookVerificationError } from "./errors.js";

const TOLERANCE_SECONDS = 300;
const SECRET_PREFIX = "whsec_";
const SECRET_BYTES_MIN = 24;
const DIGEST_BYTES = 32;
/** A rotation needs two; checking more costs time only. */
const SIGNATURES_MAX = 10;
const OWN_HEADERS = new Set(["webhook-id", "webhook-timestamp", "webhook-signature"]);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * Check the signature of a webhook and return its event.
 *
 * `body` must be the bytes (or the text) of the request as they arrived, before any JSON is parsed.
 * `headers` are those of node:http, a Headers object, or pairs. During a rotation `secret` is a list
 * with the new and the old secret. Act once per `event.id`: a webhook may arrive twice.
 *
 * Throws WebhookVerificationError for everything that a sender can do wrong, and TypeError for what
 * your program does wrong: a parsed body, or a secret that is not `whsec_…`.
 */
export function verifyWebhook(headers, body, secret, options = {}) {
  const { toleranceSeconds = TOLERANCE_SECONDS, now = Date.now() } = options;
  const keys = (Array.isArray(secret) ? secret : [secret]).map(keyOf);
  if (keys.length === 0) throw new TypeError("At least one secret is needed.");
  const content = bytesOf(body);
  const values = ownHeaders(headers);
  const id = valueOf(values, "webhook-id");
  const timestamp = valueOf(values, "webhook-timestamp");
  const candidates = signaturesIn(valueOf(values, "webhook-signature"));
  if (!/^[\x21-\x7e]{1,128}$/.test(id)) {
    throw new WebhookVerificationError("webhook-id must be 1 to 128 printable ASCII characters.");
  }
  if (!/^[0-9]{1,12}$/.test(timestamp)) {
    throw new WebhookVerificationError("webhook-timestamp must be Unix seconds.");
  }
  let matches = false;
  for (const key of keys) {
    const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(content).digest();
    for (const candidate of candidates) {
      // Every pair is compared, so that timing does not reveal which one matches.
      matches = timingSafeEqual(digest, candidate) || matches;
    }
  }
  if (!matches) {
    throw new WebhookVerificationError("No signature matches the body, its id and its timestamp.");
  }
  requireFresh(now / 1000 - Number(timestamp), toleranceSeconds);
  return eventIn(content, id);
}

function requireFresh(skewSeconds, toleranceSeconds) {
  if (Math.abs(skewSeconds) <= toleranceSeconds) return;
  const direction = skewSeconds > 0 ? "past" : "future";
  throw new WebhookVerificationError(
    `webhook-timestamp lies ${Math.round(Math.abs(skewSeconds))} s in the ${direction}; ` +
      `at most ${toleranceSeconds} s are tolerated.`,
  );
}

/** The key in a secret. Throws TypeError, whose message never has the secret in it. */
function keyOf(secret) {
  const isText = typeof secret === "string" && secret.startsWith(SECRET_PREFIX);
  const text = isText ? secret.slice(SECRET_PREFIX.length) : "";
  if (!isText || !BASE64.test(text)) {
    throw new TypeError(`A webhook secret must be ${SECRET_PREFIX} and base64.`);
  }
  const key = Buffer.from(text, "base64");
  if (key.length < SECRET_BYTES_MIN) {
    throw new TypeError(`A webhook secret must have ${SECRET_BYTES_MIN} bytes or more.`);
  }
  return key;
}

function bytesOf(body) {
  if (typeof body === "string") return Buffer.from(body, "utf8");
  if (body instanceof ArrayBuffer) return Buffer.from(body);
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  throw new TypeError("body must be the bytes or the text of the request, as they arrived.");
}

/** The three headers by name in lower case; the first of several with one name counts. */
function ownHeaders(headers) {
  if (typeof headers !== "object" || headers === null) {
    throw new TypeError("headers must be an object, a Headers object or pairs.");
  }
  const pairs = typeof headers[Symbol.iterator] === "function" ? headers : Object.entries(headers);
  const values = new Map();
  for (const [name, value] of pairs) {
    const lowerName = String(name).toLowerCase();
    if (OWN_HEADERS.has(lowerName) && !values.has(lowerName)) {
      values.set(lowerName, Array.isArray(value) ? value[0] : value);
    }
  }
  return values;
}

function valueOf(values, name) {
  const value = values.get(name);
  if (typeof value === "string" && value !== "") return value;
  throw new WebhookVerificationError(`The header ${name} is missing.`);
}

function signaturesIn(header) {
  const digests = header
    .split(" ", SIGNATURES_MAX)
    .filter((entry) => entry.startsWith("v1,") && BASE64.test(entry.slice(3)))
    .map((entry) => Buffer.from(entry.slice(3), "base64"))
    .filter((digest) => digest.length === DIGEST_BYTES);
  if (digests.length > 0) return digests;
  throw new WebhookVerificationError("webhook-signature has no entry of the form v1,<base64>.");
}

function eventIn(content, id) {
  let event;
  try {
    event = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch {
    event = null;
  }
  const isEvent =
    isObject(event) &&
    ["id", "type", "timestamp"].every((name) => typeof event[name] === "string") &&
    isObject(event.data);
  if (!isEvent) throw new WebhookVerificationError("The signed body is not an event.");
  if (event.id !== id) {
    throw new WebhookVerificationError("webhook-id is not the id of the event in the body.");
  }
  return event;
}
