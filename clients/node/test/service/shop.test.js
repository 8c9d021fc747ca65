/**
 * The client and the receivers against the service at BALCAO_URL, with the key BALCAO_API_KEY.
 *
 * BALCAO_KEY_OF_EMPTY_SHOP is the key of another merchant, to whom nothing has happened.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import * as balcao from "balcao";

const shop = new balcao.Balcao();
const URL_OF_SERVICE = process.env.BALCAO_URL;

/** Pay at the simulated bank, as a payer does. */
async function pay(payment) {
  const answer = await fetch(`${URL_OF_SERVICE}/bank/api/pay`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ code: payment.pix_code, pin: "1234" }),
  });
  assert.equal(answer.ok, true, await answer.text());
}

async function confirmed(payment) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const current = await shop.payments.get(payment.id);
    if (current.status === "confirmed") return current;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail("the payment was not confirmed within five seconds");
}

async function idsOf(list) {
  const ids = [];
  for await (const { id } of list) ids.push(id);
  return ids;
}

test("a payment is created, paid and refunded, exact to the centavo", async () => {
  const payment = await shop.payments.create({
    value: 54.9,
    order_id: "n1",
    metadata: { cart: "7" },
  });
  assert.deepEqual([payment.status, payment.amount_centavos], ["pending", 5490]);
  assert.deepEqual(payment.metadata, { cart: "7" });
  const simulated = { name: "simulated", account: null, txid: payment.id, status: "open" };
  assert.deepEqual(payment.provider, simulated);

  await pay(payment);
  assert.equal((await confirmed(payment)).paid, true);

  const tooMuch = shop.payments.refund(payment.id, { value: { centavos: 5491 } });
  await assert.rejects(tooMuch, balcao.RefundExceedsPayment);
  const refund = await shop.payments.refund(payment.id, { value: { centavos: 1490 } });
  assert.deepEqual([refund.amount_centavos, refund.payment_id], [1490, payment.id]);
  assert.deepEqual([refund.by_bank, refund.nature], [false, null]);
  const refunds = await shop.payments.refunds(payment.id);
  assert.deepEqual(
    refunds.map(({ id }) => id),
    [refund.id],
  );
});

test("an order has one payment; cancelled, it stays in the list", async () => {
  const first = await shop.payments.create({ value: "10", order_id: "n2" });
  const second = shop.payments.create({ value: "10", order_id: "n2" });
  await assert.rejects(second, balcao.OrderAlreadyHasPayment);

  assert.equal((await shop.payments.cancel(first.id)).status, "cancelled");
  assert.equal((await shop.payments.cancel(first.id)).status, "cancelled");
  assert.deepEqual(await idsOf(shop.payments.list({ order_id: "n2", limit: 1 })), [first.id]);
});

test("errors of the service have their classes and their fields", async () => {
  await assert.rejects(shop.payments.create({ value: 0, order_id: "x".repeat(65) }), (error) => {
    assert.ok(error instanceof balcao.InvalidRequest);
    assert.deepEqual(error.errors.map(({ field }) => field).sort(), ["order_id", "value"]);
    assert.ok(error.requestId);
    return true;
  });
  await assert.rejects(shop.payments.cancel("0".repeat(32)), balcao.PaymentNotFound);
  const stranger = new balcao.Balcao({ apiKey: "balcao_test_nobody" });
  await assert.rejects(stranger.payments.page(), balcao.Unauthorized);
  await shop.payments.create({ value: 10 }, { idempotencyKey: "n-key" });
  const other = shop.payments.create({ value: 11 }, { idempotencyKey: "n-key" });
  await assert.rejects(other, balcao.IdempotencyConflict);
});

test("a creation whose answer got lost makes one payment", async (t) => {
  let losses = 0;
  const proxy = createServer((request, response) => {
    const forward = httpRequest(URL_OF_SERVICE + request.url, {
      method: request.method,
      headers: request.headers,
    });
    forward.on("response", (answer) => {
      if (losses === 0) {
        losses += 1;
        answer.resume();
        answer.on("end", () => response.socket.destroy());
        return;
      }
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(forward);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  t.after(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.address().port}`;
  const unlucky = new balcao.Balcao({ url, retries: { baseMs: 10 } });

  // Without an order, so that the idempotency key alone prevents a second one.
  const payment = await unlucky.payments.create({ value: 10, description: "perdida" });

  assert.equal(losses, 1);
  assert.deepEqual(await idsOf(shop.payments.list({ q: "perdida" })), [payment.id]);
});

test("a stream resumes where it was, and has what the feed has", async () => {
  const first = await shop.payments.create({ value: 10, order_id: "n3" });
  const before = await eventOf(first, "payment.created");
  await shop.payments.cancel(first.id);
  const second = await shop.payments.create({ value: 10, order_id: "n3" });

  const types = [];
  for await (const event of shop.events.stream({ after: before.id })) {
    if (![first.id, second.id].includes(event.data.id)) continue;
    types.push(event.type);
    if (types.length === 2) break;
  }

  assert.deepEqual(types, ["payment.cancelled", "payment.created"]);
});

/** A proxy before the service that cuts every connection, and refuses new ones, while `isCut`. */
async function openProxy(t) {
  const target = new URL(URL_OF_SERVICE);
  const sockets = new Set();
  const proxy = { isCut: false };
  const server = createTcpServer((client) => {
    if (proxy.isCut) return client.destroy();
    const upstream = connect(Number(target.port), target.hostname);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => other.destroy());
      socket.pipe(other);
    }
  });
  proxy.cut = () => {
    proxy.isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    proxy.cut();
    server.close();
  });
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  return proxy;
}

for (const feed of ["an empty feed", "a feed with events"]) {
  test(
    `a stream of ${feed} that is cut before its first event misses nothing`,
    { timeout: 20_000 },
    async (t) => {
      const proxy = await openProxy(t);
      const own = new balcao.Balcao({ apiKey: process.env.BALCAO_KEY_OF_EMPTY_SHOP });
      const watching = new balcao.Balcao({
        url: proxy.url,
        apiKey: process.env.BALCAO_KEY_OF_EMPTY_SHOP,
      });
      const before = await idsOf(own.events.list());
      assert.equal(before.length === 0, feed === "an empty feed");
      let payment;
      const onConnect = () => {
        if (!payment) proxy.cut();
      };
      const onInterruption = async () => {
        if (payment) return;
        payment = {};
        payment = await own.payments.create({ value: 10 });
        await eventOf(payment, "payment.created", own);
        proxy.isCut = false;
      };

      let first;
      for await (const event of watching.events.stream({}, { onConnect, onInterruption })) {
        first = event;
        break;
      }

      assert.equal(first.data.id, payment.id);
      assert.deepEqual(await idsOf(own.events.list()), [...before, first.id]);
    },
  );
}

/** The payment's event of this type in the feed, as soon as it is there. */
async function eventOf(payment, type, merchant = shop) {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    for await (const event of merchant.events.list({ type })) {
      if (event.data.id === payment.id) return event;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail(`no ${type} in the feed within five seconds`);
}

/** A port, and a promise for the end of its first request: the ping of a new webhook. */
async function placeForPing() {
  const server = createServer((request, response) => {
    request.resume();
    response.on("close", () => server.close());
    response.writeHead(204, { Connection: "close" }).end();
  });
  const ping = once(server, "close");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, ping };
}

/** Run an example receiver; `lines` are what it prints. */
async function startReceiver(t, file, port, secret) {
  const path = fileURLToPath(new URL(`../../examples/${file}`, import.meta.url));
  const receiver = spawn(process.execPath, [path], {
    env: { ...process.env, PORT: String(port), WEBHOOK_SECRET: secret },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => receiver.kill());
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, `listening ${port}`);
  return { lines, url: `http://127.0.0.1:${port}/hook` };
}

for (const file of ["receiver.mjs", "receiver-standardwebhooks.mjs"]) {
  test(
    `${file} believes the service's webhooks, and nobody else's`,
    { timeout: 20_000 },
    async (t) => {
      const { port, ping } = await placeForPing();
      const webhook = await shop.webhooks.create({
        url: `http://127.0.0.1:${port}/hook`,
        events: ["payment.created"],
      });
      t.after(() => shop.webhooks.delete(webhook.id));
      await ping;
      const { lines, url } = await startReceiver(t, file, port, webhook.secret);

      const forged = await fetch(url, {
        method: "POST",
        headers: {
          "webhook-id": "e1",
          "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
          "webhook-signature": `v1,${Buffer.alloc(32).toString("base64")}`,
        },
        body: "{}",
      });
      const payment = await shop.payments.create({ value: 10, order_id: `n-${file.slice(0, 20)}` });

      assert.equal(forged.status, 400);
      const event = await eventOf(payment, "payment.created");
      const expected = `payment.created ${event.id} ${payment.order_id}`;
      assert.equal((await lines.next()).value, expected);
    },
  );
}

test(
  "a webhook is read, changed, rotated, looked at and deleted",
  { timeout: 20_000 },
  async (t) => {
    const { port, ping } = await placeForPing();
    const url = `http://127.0.0.1:${port}/hook`;
    const webhook = await shop.webhooks.create({ url });
    t.after(() => shop.webhooks.delete(webhook.id));
    await ping;

    assert.match(webhook.secret, /^whsec_/);
    assert.equal((await shop.webhooks.get(webhook.id)).secret, undefined);
    assert.ok((await idsOf(shop.webhooks.list())).includes(webhook.id));
    const { secret } = await shop.webhooks.rotate(webhook.id);
    assert.match(secret, /^whsec_/);
    assert.notEqual(secret, webhook.secret);
    const changes = { events: ["payment.confirmed"], description: "loja" };
    const changed = await shop.webhooks.update(webhook.id, changes);
    assert.deepEqual([changed.events, changed.description], [["payment.confirmed"], "loja"]);

    const sent = await shop.webhooks.ping(webhook.id);
    assert.ok((await shop.webhooks.redeliver(sent.id)).id);
    const { data } = await shop.webhooks.deliveries(webhook.id, { limit: 100 });
    assert.ok(data.some(({ id }) => id === sent.id));
    const window = { from: new Date(Date.now() - 60_000), to: new Date() };
    assert.equal(typeof (await shop.webhooks.replay(webhook.id, window)).deliveries, "number");

    await shop.webhooks.delete(webhook.id);
    await shop.webhooks.delete(webhook.id);
    await assert.rejects(shop.webhooks.get(webhook.id), balcao.NotFound);
  },
);
