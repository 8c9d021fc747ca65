// The payment page's main script: follows the payment. The page's other scripts start by themselves.
import { followPayment } from "./live_payment.js";

const checkout = document.getElementById("checkout");

// Loaded only for a paid payment, because most visits begin before.
function leadBackFrom(root) {
  const link = root.querySelector("[data-lead-back]");
  if (link === null) return;
  import("./lead_back.js").then(
    ({ leadBack }) =>
      leadBack(link, root.querySelector("[data-leading-back]"), checkout.dataset.paymentId),
    () => {},
  );
}

followPayment(checkout, {
  onDraw: (region) => region.dispatchEvent(new CustomEvent("content-drawn", { bubbles: true })),
});
leadBackFrom(checkout);
document.addEventListener("content-drawn", (event) => leadBackFrom(event.target));
document.documentElement.setAttribute("data-started", "");
