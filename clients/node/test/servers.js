/** Servers on free ports for tests. */

import { once } from "node:events";
import { createServer } from "node:http";

/** An HTTP server that gives each request to the next handler; the last one stays. */
export async function serve(t, ...handlers) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { method, url, headers } = request;
    requests.push({ method, url, headers, body: Buffer.concat(parts).toString() });
    const handler = handlers[Math.min(requests.length, handlers.length) - 1];
    await handler(response, requests.at(-1));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

/** A handler that answers with JSON. */
export function json(status, body, headers = {}) {
  return (response) => {
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
}

/** A handler that closes the connection without an answer. */
export function drop(response) {
  response.socket.destroy();
}
