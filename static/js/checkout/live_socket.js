// Watches one payment over Socket.IO. Its messages are hints to ask the server.
const EVENTS = [
  "payment-confirmed",
  "payment-expired",
  "payment-cancelled",
  "payment-refunded",
  "payment-code-ready",
  "receipt-refused",
];
const ACK_TIMEOUT_MS = 4_000;

/**
 * `client` is the URL of the Socket.IO module, which may load late or never.
 * `onHint({status, sequence, remaining_ms?})` is called at changes and (re)connections,
 * `onLive(bool)` when the connection starts or ends.
 * Returns a function that checks a connection which may be dead.
 */
export function watchPayment(client, paymentId, { onHint, onLive }) {
  let socket = null;

  function watch() {
    socket.timeout(ACK_TIMEOUT_MS).emit("watch", { payment_id: paymentId }, (error, answer) => {
      if (error) {
        onLive(false);
        socket.disconnect().connect();
      } else {
        onLive(answer.ok);
        if (answer.ok) onHint(answer.payment);
      }
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
    for (const name of EVENTS) {
      socket.on(name, (message) => {
        if (message.payment_id === paymentId) onHint(message);
      });
    }
  }

  import(client).then(open, () => onLive(false));

  return function check() {
    if (socket === null) return;
    if (socket.connected) watch();
    else socket.connect();
  };
}
