// Watches all of a merchant's payments over Socket.IO; what it hears are hints to ask the server.
const EVENTS = [
  "payment-confirmed",
  "payment-expired",
  "payment-cancelled",
  "payment-refunded",
  "receipt-refused",
  "payment_completed",
];
const ACK_TIMEOUT_MS = 4_000;
const RENEW_EVERY_MS = 30_000;

/**
 * `client` is the address of the Socket.IO module. `heard(paymentId)` is told of each change,
 * `joined()` of every (re)connection, `live(bool)` of whether changes are heard at all. Answers a
 * function that proves a connection which may have died in silence.
 */
export function watchMerchant(client, { heard, joined, live }) {
  let socket = null;
  let renewedAt = -Infinity;

  // The handshake's cookie has run out, and the browser may hold a fresh one: shake hands again.
  function renew() {
    const now = performance.now();
    if (now - renewedAt < RENEW_EVERY_MS) return;
    renewedAt = now;
    socket.disconnect().connect();
  }

  function watch() {
    socket.timeout(ACK_TIMEOUT_MS).emit("watch_merchant", {}, (error, answer) => {
      if (error) {
        live(false);
        socket.disconnect().connect();
        return;
      }
      live(answer.ok);
      if (answer.ok) joined();
      else if (answer.code === "unauthorized") renew();
    });
  }

  function open({ io }) {
    socket = io({
      path: "/socket.io",
      transports: ["websocket", "polling"],
      tryAllTransports: true,
    });
    socket.on("connect", watch);
    socket.on("disconnect", () => live(false));
    socket.on("connect_error", () => live(false));
    for (const name of EVENTS) socket.on(name, ({ payment_id: id }) => heard(id));
  }

  import(client).then(open, () => live(false));

  return function prove() {
    if (socket === null) return;
    if (socket.connected) watch();
    else socket.connect();
  };
}
