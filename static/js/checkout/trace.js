// Reports to the merchant's timeline that the page was opened or its code copied.
function report(paymentId, what) {
  fetch(`/payments/pix/${paymentId}/trace`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ what }),
    keepalive: true,
  }).catch(() => {});
}

/** Report once that the page is visible, and each time a code is copied. */
function reportTraces(checkout) {
  const { paymentId } = checkout.dataset;
  const reportOpened = () => {
    if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", reportOpened);
    report(paymentId, "opened");
  };
  document.addEventListener("visibilitychange", reportOpened);
  reportOpened();
  for (const name of ["code-copied", "copy"]) {
    document.addEventListener(name, () => {
      // A paid page has other texts to copy, and no code.
      if (document.getElementById("pix-code") !== null) report(paymentId, "copied");
    });
  }
}

reportTraces(document.getElementById("checkout"));
