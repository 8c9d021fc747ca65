// The payment page's main script: follows the payment. The page's other scripts start by themselves.
import { followPayment } from "./live_payment.js";

followPayment(document.getElementById("checkout"), {
  onDraw: (region) => region.dispatchEvent(new CustomEvent("content-drawn", { bubbles: true })),
});
document.documentElement.setAttribute("data-started", "");
