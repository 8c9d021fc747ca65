import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";

import { WebhookVerificationError, verifyWebhook } from "../src/index.js";

const SECRET = `whsec_${Buffer.alloc(24, 7).toString("base64")}`;
const OTHER = `whsec_${Buffer.alloc(24, 8).toString("base64")}`;
const NOW = 1_800_000_000_000;
const EVENT = {
  id: "e1",
  type: "payment.confirmed",
  timestamp: "2027-01-15T08:00:00Z",
  livemode: false,
  data: { description: "pão" },
};
const BODY = Buffer.from(JSON.stringify(EVENT));

function signature(body, { secret = SECRET, id = "e1", at = NOW / 1000 } = {}) {
  const key = Buffer.from(secret.slice(6), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64")}`;
}

function signed(body = BODY, options = {}) {
  const { id = "e1", at = NOW / 1000 } = options;
  return {
    "webhook-id": id,
    "webhook-timestamp": String(at),
    "webhook-signature": signature(body, options),
  };
}

function refuses(headers, body = BODY, message = /./) {
  assert.throws(
    () => verifyWebhook(headers, body, SECRET, { now: NOW }),
    (error) => error instanceof WebhookVerificationError && message.test(error.message),
  );
}

test("a known signature from the specification's algorithm is accepted", () => {
  // Calculated with openssl, so that both sides cannot be wrong together.
  const headers = {
    "webhook-id": "e1",
    "webhook-timestamp": "1800000000",
    "webhook-signature": "v1,DkgvzJyYQl9vxJuKVm7c84Ru4Dy+Np5OZFp+H9w4IDY=",
  };
  const body = '{"id":"e1","type":"ping","timestamp":"2027-01-15T08:00:00Z","data":{}}';
  assert.equal(verifyWebhook(headers, body, SECRET, { now: NOW }).type, "ping");
});

test("the event is returned for every form of headers and body", () => {
  const headers = signed();
  const shouted = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]),
  );
  for (const form of [headers, shouted, new Headers(headers), Object.entries(headers)]) {
    assert.deepEqual(verifyWebhook(form, BODY, SECRET, { now: NOW }), EVENT);
  }
  const bytes = new Uint8Array(BODY);
  for (const body of [BODY.toString(), bytes, bytes.buffer]) {
    assert.deepEqual(verifyWebhook(headers, body, SECRET, { now: NOW }), EVENT);
  }
});

test("one of several signatures and one of several secrets is enough", () => {
  const headers = signed();
  headers["webhook-signature"] =
    `v1a,x v1,broken ${signature(BODY, { secret: OTHER })} ${headers["webhook-signature"]}`;
  assert.equal(verifyWebhook(headers, BODY, SECRET, { now: NOW }).id, "e1");
  assert.equal(verifyWebhook(signed(), BODY, [OTHER, SECRET], { now: NOW }).id, "e1");
  refuses(signed(BODY, { secret: OTHER }), BODY, /No signature matches/);
});

test("a timestamp is tolerated for 300 seconds in both directions, and no longer", () => {
  for (const skew of [-300, 300]) {
    assert.equal(
      verifyWebhook(signed(BODY, { at: NOW / 1000 + skew }), BODY, SECRET, { now: NOW }).id,
      "e1",
    );
  }
  refuses(signed(BODY, { at: NOW / 1000 - 301 }), BODY, /301 s in the past/);
  refuses(signed(BODY, { at: NOW / 1000 + 301 }), BODY, /301 s in the future/);
});

test("each changed byte of the body breaks the signature", () => {
  for (let index = 0; index < BODY.length; index += 1) {
    const body = Buffer.from(BODY);
    body[index] ^= 1;
    refuses(signed(), body, /No signature matches/);
  }
});

test("a signed body that is no event, or another event, is refused", () => {
  const bodies = ["", "[]", "null", "{}", '{"id":"e1"}', JSON.stringify({ ...EVENT, data: [] })];
  for (const body of [...bodies.map((text) => Buffer.from(text)), Buffer.from([0xff])]) {
    refuses(signed(body), body, /not an event/);
  }
  refuses(signed(BODY, { id: "e2" }), BODY, /not the id of the event/);
});

test("garbage in the headers has one class of error", () => {
  for (const name of Object.keys(signed())) {
    for (const value of [
      undefined,
      null,
      "",
      [],
      {},
      7,
      "\0",
      " ",
      "v1,",
      "v1,====",
      "1e3",
      "-1",
    ]) {
      refuses({ ...signed(), [name]: value });
    }
    for (let round = 0; round < 50; round += 1) {
      refuses({ ...signed(), [name]: randomBytes(round + 1).toString("latin1") });
    }
    refuses({ ...signed(), [name]: "A".repeat(1_000_000) });
  }
  refuses({});
});

test("mistakes of the program are a TypeError, which never shows the secret", () => {
  assert.throws(() => verifyWebhook(signed(), EVENT, SECRET), TypeError);
  assert.throws(() => verifyWebhook(null, BODY, SECRET), TypeError);
  for (const secret of [undefined, "", "hello", "whsec_!!!", "whsec_c2hvcnQ=", []]) {
    assert.throws(
      () => verifyWebhook(signed(), BODY, secret),
      (error) => error instanceof TypeError && !/hello|c2hvcnQ/.test(error.message),
    );
  }
});
