// A receiver of webhooks with the official package of Standard Webhooks, without `balcao`.
//
//   WEBHOOK_SECRET=whsec_… PORT=4242 node receiver-standardwebhooks.mjs

import { createServer } from "node:http";

import { Webhook, WebhookVerificationError } from "standardwebhooks";

const BODY_BYTES_MAX = 1_000_000;
const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// A shop keeps them in its database, in the same transaction as what it does for the event.
const handledIds = new Set();

async function bytesOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_BYTES_MAX) return null;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function statusFor(request) {
  if (request.method !== "POST") return 405;
  const body = await bytesOf(request);
  if (body === null) return 413;
  try {
    const event = webhook.verify(body, request.headers);
    if (!handledIds.has(event.id)) {
      handledIds.add(event.id);
      console.log(event.type, event.id, event.data.order_id ?? "");
    }
    return 204;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return 400;
    throw error;
  }
}

const server = createServer(async (request, response) => {
  let status = 500;
  try {
    status = await statusFor(request);
  } catch (error) {
    console.error(error);
  }
  // The rest of a body that is too large is not read.
  response.writeHead(status, status === 413 ? { Connection: "close" } : {}).end();
});

server.listen(Number(process.env.PORT ?? 4242), "127.0.0.1", () => {
  console.log("listening", server.address().port);
});
