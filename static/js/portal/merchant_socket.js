// Watches all of a merchant's payments over Socket.IO. Its messages are hints to ask the server.
import { pageMode } from "./csrf.js";

const EVENTS = [
  "payment-confirmed",
  "payment-expired",
  "payment-cancelled",
  "payment-refunded",
  "payment-code-ready",
  "payment-revised",
  "receipt-refused",
  "payment_completed",
];
const RECEIPT_EVENT = "receipt-received";
const ACK_TIMEOUT_MS = 4_000;
const RECONNECT_EVERY_MS = 30_000;

/**
 * `client` is the URL of the Socket.IO module. `onChange(paymentId)` is called at each change,
 * `onReceipt()` when money arrived without a payment,
 * `onJoin()` at each (re)connection, `onLive(bool)` when the connection starts or ends. Returns a
 * function that checks a connection which may be dead.
 */
export function watchMerchant(client, { onChange, onReceipt, onJoin, onLive }) {
  let socket = null;
  let reconnectedAt = -Infinity;

  // The handshake's cookie has expired; connect again, as the browser may have a newer cookie.
  function reconnect() {
    const now = performance.now();
    if (now - reconnectedAt < RECONNECT_EVERY_MS) return;
    reconnectedAt = now;
    socket.disconnect().connect();
  }

  function watch() {
    socket.timeout(ACK_TIMEOUT_MS).emit("watch_merchant", { mode: pageMode() }, (error, answer) => {
      if (error) {
        onLive(false);
        socket.disconnect().connect();
        return;
      }
      onLive(answer.ok);
      if (answer.ok) onJoin();
      else if (answer.code === "unauthorized") reconnect();
    });
  }

  function open({ io }) {
    socket = io({
      path: "/socket.io",
      transports: ["websocket", "polling"],
      tryAllTransports: true,
    });
    socket.on("connect", watch);
    socket.on("disconnect", () => onLive(false));
    socket.on("connect_error", () => onLive(false));
    socket.on(RECEIPT_EVENT, () => onReceipt());
    for (const name of EVENTS) socket.on(name, ({ payment_id: id }) => onChange(id));
  }

  import(client).then(open, () => onLive(false));

  return function check() {
    if (socket === null) return;
    if (socket.connected) watch();
    else socket.connect();
  };
}
