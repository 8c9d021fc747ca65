import assert from "node:assert/strict";
import { test } from "node:test";

import * as balcao from "../src/index.js";
import { retryAfterMs } from "../src/answers.js";
import { Transport, pauseAfter } from "../src/transport.js";
import { drop, json, serve } from "./servers.js";

const FAST = { baseMs: 1, pauseMaxMs: 1 };
const PAYMENT = { payment: { id: "p1" } };

function shopAt(url, options = {}) {
  return new balcao.Balcao({ url, apiKey: "balcao_test_1", retries: FAST, ...options });
}

function problem(status, code, more = {}) {
  return json(status, { code, detail: "Why.", status, ...more });
}

test("a creation is repeated with one key, after a lost answer and after 503", async (t) => {
  const { url, requests } = await serve(t, drop, problem(503, "busy"), json(201, PAYMENT));

  const payment = await shopAt(url).payments.create({ value: { centavos: 5490 }, order_id: "1" });

  assert.equal(payment.id, "p1");
  assert.equal(requests.length, 3);
  const keys = new Set(requests.map(({ headers }) => headers["idempotency-key"]));
  assert.equal(keys.size, 1);
  assert.match([...keys][0], /^node-[0-9a-f]{32}$/);
  assert.deepEqual(JSON.parse(requests[2].body), { value: "54.90", order_id: "1" });
  assert.equal(requests[2].headers.authorization, "Bearer balcao_test_1");
});

test("two creations have different keys, and the caller's own key is sent", async (t) => {
  const { url, requests } = await serve(t, json(201, PAYMENT));
  const shop = shopAt(url);
  await shop.payments.create({ value: 1 });
  await shop.payments.create({ value: 1 });
  await shop.payments.create({ value: 1 }, { idempotencyKey: "mine" });

  const [first, second, third] = requests.map(({ headers }) => headers["idempotency-key"]);
  assert.notEqual(first, second);
  assert.equal(third, "mine");
});

test("the attempts are bounded, and the last error is thrown", async (t) => {
  const { url, requests } = await serve(t, problem(503, "service-unavailable"));
  await assert.rejects(shopAt(url).payments.get("p1"), balcao.ServiceUnavailable);
  assert.equal(requests.length, 4);

  const gone = await serve(t, drop);
  await assert.rejects(shopAt(gone.url).payments.get("p1"), balcao.ConnectionFailed);
  assert.equal(gone.requests.length, 4);
});

test("refusals and a server's bug are not repeated", async (t) => {
  for (const status of [400, 401, 403, 404, 409, 500]) {
    const { url, requests } = await serve(t, problem(status, "some-code"));
    await assert.rejects(shopAt(url).payments.get("p1"), { status, code: "some-code" });
    assert.equal(requests.length, 1);
  }
});

test("a rotation is repeated after 503, and not after a lost answer", async (t) => {
  const lost = await serve(t, drop);
  await assert.rejects(shopAt(lost.url).webhooks.rotate("w1"), balcao.ConnectionFailed);
  assert.equal(lost.requests.length, 1);

  const busy = await serve(t, problem(503, "busy"), json(200, { id: "w1" }));
  assert.equal((await shopAt(busy.url).webhooks.rotate("w1")).id, "w1");
});

test("Retry-After is obeyed up to its limit", async (t) => {
  const policy = { attempts: 4, baseMs: 500, pauseMaxMs: 8000, retryAfterMaxMs: 60_000 };
  const pauseMs = pauseAfter(policy, 1, 60_000);
  assert.ok(pauseMs >= 60_000 && pauseMs <= 60_500);
  assert.equal(pauseAfter(policy, 1, 60_001), null);
  assert.equal(pauseAfter(policy, 4, 0), null);

  const { url, requests } = await serve(t, json(429, {}, { "Retry-After": "61" }));
  await assert.rejects(shopAt(url).payments.get("p1"), { status: 429, retryAfterMs: 61_000 });
  assert.equal(requests.length, 1);
});

test("Retry-After is read as seconds and as a date", () => {
  const now = Date.parse("Sun, 29 Nov 2026 09:00:00 GMT");
  assert.equal(retryAfterMs("7"), 7000);
  assert.equal(retryAfterMs("Sun, 29 Nov 2026 09:00:09 GMT", now), 9000);
  assert.equal(retryAfterMs("Sun, 29 Nov 2026 08:00:00 GMT", now), 0);
  for (const text of [null, "", "-1", "1.5", "soon"]) assert.equal(retryAfterMs(text), null);
});

test("pauses grow at random up to their limit", () => {
  const policy = { attempts: 99, baseMs: 500, pauseMaxMs: 8000, retryAfterMaxMs: 0 };
  for (let attempt = 1; attempt < 20; attempt += 1) {
    const pauseMs = pauseAfter(policy, attempt, null);
    assert.ok(pauseMs >= 0 && pauseMs <= Math.min(500 * 2 ** (attempt - 1), 8000));
  }
});

test("an error has the class of its code, else of its status", async (t) => {
  const errors = [{ field: "value", detail: "is missing" }];
  const cases = [
    [409, "order-already-has-payment", balcao.OrderAlreadyHasPayment],
    [409, "some-newer-code", balcao.Conflict],
    [404, "payment-not-found", balcao.PaymentNotFound],
    [401, "unauthorized", balcao.Unauthorized],
    [403, "forbidden", balcao.Forbidden],
    [422, "invalid-request", balcao.InvalidRequest],
    [500, "internal-error", balcao.ServiceUnavailable],
  ];
  for (const [status, code, type] of cases) {
    const { url } = await serve(t, problem(status, code, { errors, request_id: "r1" }));
    await assert.rejects(shopAt(url).payments.get("p1"), (error) => {
      assert.ok(error instanceof type && error instanceof balcao.BalcaoError);
      assert.equal(error.name, type.name);
      const { detail, requestId } = error;
      assert.deepEqual({ detail, requestId }, { detail: "Why.", requestId: "r1" });
      assert.deepEqual(error.errors, errors);
      return true;
    });
  }
});

test("a proxy's page, broken JSON and odd members are errors of this package", async (t) => {
  const page = (status) => (response) => response.writeHead(status).end("<html>");
  const failing = await serve(t, page(404));
  await assert.rejects(shopAt(failing.url).payments.get("p1"), { code: "http-404" });
  const odd = await serve(t, json(400, { code: 7, detail: [], errors: "x" }));
  await assert.rejects(shopAt(odd.url).payments.get("p1"), { code: "http-400", errors: [] });
  for (const handler of [page(200), json(200, []), json(200, { payment: null }), json(200, null)]) {
    const { url } = await serve(t, handler);
    await assert.rejects(shopAt(url).payments.get("p1"), balcao.UnexpectedAnswer);
  }
});

test("a redirect is not followed, so the key goes nowhere else", async (t) => {
  const elsewhere = await serve(t, json(200, PAYMENT));
  const { url } = await serve(t, (response) => {
    response.writeHead(307, { Location: elsewhere.url }).end();
  });
  await assert.rejects(shopAt(url).payments.create({ value: 1 }), balcao.UnexpectedAnswer);
  assert.equal(elsewhere.requests.length, 0);
});

test("a silent service ends each attempt at the timeout", async (t) => {
  const { url, requests } = await serve(t, () => {});
  const shop = shopAt(url, { timeoutMs: 50, retries: { ...FAST, attempts: 2 } });
  await assert.rejects(shop.payments.get("p1"), balcao.ConnectionFailed);
  assert.equal(requests.length, 2);
});

test("a signal ends a request and a pause with its reason, and nothing is repeated", async (t) => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const silent = await serve(t, () => controller.abort(reason));
  const { signal } = controller;
  await assert.rejects(
    shopAt(silent.url).payments.get("p1", { signal }),
    (error) => error === reason,
  );
  assert.equal(silent.requests.length, 1);

  const second = new AbortController();
  const busy = await serve(t, (response) => {
    json(503, {}, { "Retry-After": "50" })(response);
    setTimeout(() => second.abort(reason), 20);
  });
  const call = shopAt(busy.url).payments.get("p1", { signal: second.signal });
  await assert.rejects(call, (error) => error === reason);
  assert.equal(busy.requests.length, 1);
});

test("an answer that is too large is refused", async (t) => {
  const { url } = await serve(t, async (response) => {
    response.on("error", () => {});
    for (let index = 0; index < 17; index += 1) response.write(Buffer.alloc(1_000_000, " "));
    response.end("{}");
  });
  await assert.rejects(shopAt(url).payments.get("p1"), balcao.UnexpectedAnswer);
});

test("a list goes on through short and empty pages until next is null", async (t) => {
  const { url, requests } = await serve(
    t,
    json(200, { data: [{ id: "1" }, { id: "2" }], next: "a b&c" }),
    json(200, { data: [], next: "d" }),
    json(200, { data: [{ id: "3" }], next: null }),
  );
  const ids = [];
  const from = new Date("2026-11-29T08:00:00Z");
  for await (const { id } of shopAt(url).payments.list({ status: "pending", from })) ids.push(id);

  assert.deepEqual(ids, ["1", "2", "3"]);
  const query = "status=pending&from=2026-11-29T08%3A00%3A00.000Z";
  assert.equal(requests[0].url, `/payments/pix?${query}`);
  assert.equal(requests[1].url, `/payments/pix?${query}&after=a+b%26c`);
});

test("a cancellation whose answer was lost is a success", async (t) => {
  const cancelled = { payment: { id: "p1", status: "cancelled" } };
  const { url } = await serve(t, drop, problem(409, "not-cancellable"), json(200, cancelled));
  assert.equal((await shopAt(url).payments.cancel("p1")).status, "cancelled");

  const paid = { payment: { id: "p1", status: "confirmed" } };
  const other = await serve(t, problem(409, "not-cancellable"), json(200, paid));
  await assert.rejects(shopAt(other.url).payments.cancel("p1"), balcao.NotCancellable);
});

test("an id that would be another address is never sent", async (t) => {
  const { url, requests } = await serve(t, json(200, PAYMENT));
  const shop = shopAt(url);
  for (const id of ["", "../webhooks", "a/b", "a?b", "a".repeat(65), "é", undefined, ["p1"]]) {
    await assert.rejects(shop.payments.get(id), balcao.PaymentNotFound);
    await assert.rejects(shop.webhooks.get(id), balcao.NotFound);
  }
  assert.equal(requests.length, 0);
});

test("an address or a key that cannot be right is refused at once", () => {
  for (const url of [
    "pay.example",
    "ftp://pay.example",
    "https://u:p@pay.example",
    "https://x/?a=1",
  ]) {
    assert.throws(() => new Transport(url), TypeError);
  }
  assert.throws(() => new Transport("https://x", { apiKey: "a\nb" }), TypeError);
  assert.equal(new Transport("https://x/shop/").urlOf("/events").href, "https://x/shop/events");
});
