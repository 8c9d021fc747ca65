// Watches one payment over Socket.IO. Its messages are hints to ask the server.
const EVENTS = [
  "payment-confirmed",
  "payment-expired",
  "payment-cancelled",
  "payment-refunded",
  "payment-code-ready",
  "payment-revised",
  "receipt-refused",
];
const ACK_TIMEOUT_MS = 4_000;
// The server sends a heartbeat every 20 s: `ping_interval` in realtime/setup.py.
const SILENCE_MS = 23_000;
// A refused `watch` is sent again after about 1, 2, 4, 8, 16 and then every 30 seconds.
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * `client` is the URL of the Socket.IO module, which may load late or never.
 * `onHint({status, sequence, remaining_ms?})` is called at changes and (re)connections,
 * `onLive(bool)` when the connection starts or ends, `onTrust(bool)` when it begins or ceases to be
 * certain that messages come at once: the server has answered, its heartbeat goes on, and the server
 * itself does not say that events may come late.
 * Returns a function that checks a connection which may be dead.
 */
export function watchPayment(client, paymentId, { onHint, onLive, onTrust }) {
  let socket = null;
  let isAnswered = false;
  let isLate = false;
  let silenceTimer = 0;
  let retryTimer = 0;
  let refusals = 0;

  function watch() {
    clearTimeout(retryTimer);
    const question = { payment_id: paymentId, late: true };
    socket.timeout(ACK_TIMEOUT_MS).emit("watch", question, (error, answer) => {
      if (error) {
        doubt();
        onLive(false);
        socket.disconnect().connect();
      } else {
        onLive(answer.ok);
        isAnswered = answer.ok;
        isLate = answer.late === true;
        judge();
        awaitHeartbeat();
        if (answer.ok) {
          refusals = 0;
          onHint(answer.payment);
        } else {
          retry();
        }
      }
    });
  }

  // The database may be away for a moment, while the connection stays. The pages that it refuses
  // together do not return together.
  function retry() {
    clearTimeout(retryTimer);
    const wait = Math.min(RETRY_MS * 2 ** refusals, RETRY_MAX_MS);
    refusals += 1;
    retryTimer = setTimeout(watch, wait * (0.75 + Math.random() / 2));
  }

  function judge() {
    onTrust(isAnswered && !isLate);
  }

  function doubt() {
    clearTimeout(silenceTimer);
    isAnswered = false;
    judge();
  }

  function awaitHeartbeat() {
    clearTimeout(silenceTimer);
    if (isAnswered) silenceTimer = setTimeout(check, SILENCE_MS);
  }

  function check() {
    doubt();
    if (socket === null) return;
    if (socket.connected) watch();
    else socket.connect();
  }

  function open({ io }) {
    socket = io({
      path: "/socket.io",
      transports: ["websocket", "polling"],
      tryAllTransports: true,
    });
    socket.on("connect", watch);
    socket.on("disconnect", () => {
      clearTimeout(retryTimer); // `connect` watches again
      doubt();
      onLive(false);
    });
    socket.on("connect_error", () => onLive(false));
    socket.on("events-late", ({ late }) => {
      isLate = late;
      judge();
    });
    socket.io.on("ping", awaitHeartbeat);
    for (const name of EVENTS) {
      socket.on(name, (message) => {
        if (message.payment_id === paymentId) onHint(message);
      });
    }
  }

  import(client).then(open, () => onLive(false));

  return check;
}
