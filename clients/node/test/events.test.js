import assert from "node:assert/strict";
import { test } from "node:test";

import { Balcao, ConnectionFailed, Unauthorized, UnexpectedAnswer } from "../src/index.js";
import { readMessages } from "../src/events.js";
import { drop, json, serve } from "./servers.js";

function eventOf(id) {
  return {
    id,
    type: "payment.created",
    timestamp: "2026-11-29T08:00:00Z",
    livemode: false,
    data: {},
  };
}

function frame(id) {
  return `id: ${id}\nevent: payment.created\ndata: ${JSON.stringify(eventOf(id))}\n\n`;
}

/** A handler that sends the texts as a stream, and ends it unless it shall stay open. */
function streaming(texts, { stays = false } = {}) {
  return (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
    for (const text of texts) response.write(text);
    if (!stays) response.end();
  };
}

async function take(stream, count) {
  const ids = [];
  for await (const { id } of stream) {
    ids.push(id);
    if (ids.length === count) break;
  }
  return ids;
}

const QUICK = { onInterruption: () => {} };

test("a stream resumes after the last event over closed, cut and refused connections", async (t) => {
  const { url, requests } = await serve(
    t,
    streaming([": hello\n\n", frame("e1"), frame("e2"), frame("e3").slice(0, 20)]),
    drop,
    json(503, {}, { "Retry-After": "0" }),
    streaming([frame("e3").slice(0, 9), frame("e3").slice(9), frame("e4")], { stays: true }),
  );
  const interruptions = [];
  const stream = new Balcao({ url }).events.stream(
    { after: "e0", type: "payment.created" },
    { onInterruption: (error) => interruptions.push(error.constructor.name) },
  );

  assert.deepEqual(await take(stream, 4), ["e1", "e2", "e3", "e4"]);
  const ids = requests.map(({ headers }) => headers["last-event-id"]);
  assert.deepEqual(ids, ["e0", "e2", "e2", "e2"]);
  assert.ok(requests.every(({ url: path }) => path === "/events?type=payment.created"));
  const classes = ["ConnectionFailed", "ConnectionFailed", "ServiceUnavailable"];
  assert.deepEqual(interruptions, classes);
});

test("a stream without a beginning sends no id, and keeps the one it is told", async (t) => {
  const { url, requests } = await serve(
    t,
    streaming(["id: e5\n\n"]),
    streaming([frame("e6")], { stays: true }),
  );
  assert.deepEqual(await take(new Balcao({ url }).events.stream({}, QUICK), 1), ["e6"]);
  assert.deepEqual(
    requests.map(({ headers }) => headers["last-event-id"]),
    [undefined, "e5"],
  );
});

test("a stream of an empty feed goes on from its start", async (t) => {
  const { url, requests } = await serve(
    t,
    streaming(["id: start\nretry: 5000\n\n"]),
    drop,
    streaming(["id: start\nretry: 5000\n\n", frame("e1")], { stays: true }),
  );
  let connections = 0;
  const stream = new Balcao({ url }).events.stream({}, { onConnect: () => (connections += 1) });
  assert.deepEqual(await take(stream, 1), ["e1"]);
  assert.equal(connections, 2);
  assert.deepEqual(
    requests.map(({ headers }) => headers["last-event-id"]),
    [undefined, "start", "start"],
  );
});

test("an error that a retry cannot mend ends the stream at once", async (t) => {
  const { url, requests } = await serve(t, json(401, { code: "unauthorized" }));
  await assert.rejects(take(new Balcao({ url }).events.stream(), 1), Unauthorized);
  assert.equal(requests.length, 1);
});

test("a stream gives up when nothing was alive for as long as the caller says", async (t) => {
  const gone = await serve(t, drop);
  const options = { giveUpAfterMs: 0 };
  await assert.rejects(
    take(new Balcao({ url: gone.url }).events.stream({}, options), 1),
    ConnectionFailed,
  );
  const page = await serve(t, json(200, {}));
  await assert.rejects(
    take(new Balcao({ url: page.url }).events.stream({}, options), 1),
    UnexpectedAnswer,
  );
});

test("a signal ends an open stream with its reason", async (t) => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const { url } = await serve(t, streaming([frame("e1")], { stays: true }));
  const ids = [];
  const call = (async () => {
    for await (const { id } of new Balcao({ url }).events.stream(
      {},
      { signal: controller.signal },
    )) {
      ids.push(id);
      setTimeout(() => controller.abort(reason), 10);
    }
  })();
  await assert.rejects(call, (error) => error === reason);
  assert.deepEqual(ids, ["e1"]);
});

test("leaving the loop closes the connection", async (t) => {
  let close;
  const closed = new Promise((resolve) => (close = resolve));
  const { url } = await serve(t, (response) => {
    response.on("close", close);
    streaming([frame("e1")], { stays: true })(response);
  });
  await take(new Balcao({ url }).events.stream(), 1);
  await closed;
});

test("messages are read by the rules of the HTML standard", async () => {
  const lines = [
    ": c",
    "data:a",
    "data: b",
    "data:  c",
    "id: 1",
    "retry: 5",
    "",
    "id: x\0",
    "data",
    "",
  ];
  async function* source() {
    yield* lines;
  }
  const messages = [];
  for await (const message of readMessages(source())) messages.push(message);
  assert.deepEqual(messages, [
    { id: null, data: null },
    { id: "1", data: "a\nb\n c" },
    { id: null, data: "" },
  ]);
});

test("an event that is no JSON or has no id is not passed on", async (t) => {
  for (const data of ["{", "[]", '{"type": "x"}']) {
    const { url } = await serve(t, streaming([`data: ${data}\n\n`]));
    const stream = new Balcao({ url }).events.stream({}, { giveUpAfterMs: 0 });
    await assert.rejects(take(stream, 1), UnexpectedAnswer);
  }
});

test("a line without an end is bounded", async (t) => {
  const { url } = await serve(t, streaming(["data: ", "x".repeat(4_100_000)], { stays: true }));
  const stream = new Balcao({ url }).events.stream({}, { giveUpAfterMs: 0 });
  await assert.rejects(take(stream, 1), /too long/);
});

test("the pages of the feed are read to the newest event", async (t) => {
  const { url, requests } = await serve(
    t,
    json(200, { data: [eventOf("e1")], next: "e1" }),
    json(200, { data: [eventOf("e2")], next: null }),
  );
  assert.deepEqual(await take(new Balcao({ url }).events.list({ after: "e0" }), 9), ["e1", "e2"]);
  assert.deepEqual(
    requests.map(({ url: path }) => path),
    ["/events?after=e0&limit=100", "/events?after=e1&limit=100"],
  );
});
