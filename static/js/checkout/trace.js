// Tells the merchant's timeline that the page was opened and its code copied; nothing waits for it.
function tell(paymentId, what) {
  fetch(`/payments/pix/${paymentId}/trace`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ what }),
    keepalive: true,
  }).catch(() => {});
}

/** Tell once that it was opened, as soon as somebody sees it, and each time a code is copied. */
export function tellTraces(checkout) {
  const { paymentId } = checkout.dataset;
  const opened = () => {
    if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", opened);
    tell(paymentId, "opened");
  };
  document.addEventListener("visibilitychange", opened);
  opened();
  for (const copied of ["code-copied", "copy"]) {
    document.addEventListener(copied, () => tell(paymentId, "copied"));
  }
}
