// The main script: follows a receipt. The other scripts start by themselves, and each page works
// without JavaScript too.
import { abortAfter } from "./abort_after.js";

const REFRESH_INTERVAL_MS = 1500;

/** Refresh the receipt until the shop has answered. */
async function refreshReceipt() {
  const receipt = document.querySelector("[data-receipt]");
  if (!receipt || receipt.dataset.receipt !== "sent") return;
  try {
    const response = await fetch(location.href, { signal: abortAfter(4000) });
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const newReceipt = page.querySelector("[data-receipt]");
      if (newReceipt && newReceipt.innerHTML !== receipt.innerHTML) {
        receipt.innerHTML = newReceipt.innerHTML;
        receipt.dataset.receipt = newReceipt.dataset.receipt;
        document.title = page.title;
      }
    }
  } catch {
    // Offline or slow: the next refresh may succeed.
  }
  setTimeout(refreshReceipt, REFRESH_INTERVAL_MS);
}

setTimeout(refreshReceipt, REFRESH_INTERVAL_MS);
document.documentElement.setAttribute("data-started", "");
