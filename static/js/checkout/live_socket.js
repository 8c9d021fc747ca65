// Watches one payment over Socket.IO. What it hears are hints: the server knows the state.
const EVENTS = [
  "payment-confirmed",
  "payment-expired",
  "payment-cancelled",
  "payment-refunded",
  "receipt-refused",
];
const ACK_TIMEOUT_MS = 4_000;

/**
 * `client` is the address of the Socket.IO module; it may come late or never.
 * `hint({status, sequence, remaining_ms?})` hears of changes and of every (re)connection,
 * `live(bool)` of the connection.
 * Answers a function that proves a connection which may have died in silence.
 */
export function watchPayment(client, paymentId, { hint, live }) {
  let socket = null;

  function watch() {
    socket.timeout(ACK_TIMEOUT_MS).emit("watch", { payment_id: paymentId }, (error, answer) => {
      if (error) {
        live(false);
        socket.disconnect().connect();
      } else {
        live(answer.ok);
        if (answer.ok) hint(answer.payment);
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
    socket.on("disconnect", () => live(false));
    socket.on("connect_error", () => live(false));
    for (const name of EVENTS) {
      socket.on(name, (message) => {
        if (message.payment_id === paymentId) hint(message);
      });
    }
  }

  import(client).then(open, () => live(false));

  return function prove() {
    if (socket === null) return;
    if (socket.connected) watch();
    else socket.connect();
  };
}
