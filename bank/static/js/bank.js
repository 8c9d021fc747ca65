// Improvements of the pages; each page works without JavaScript too.
import { abortAfter } from "./abort_after.js";

const REFRESH_INTERVAL_MS = 1500;

/** Block a second submit of the form, and show on the button that it is being sent. */
function sendOnce(form) {
  const button = form.querySelector("button[type=submit]");
  const label = [...button.childNodes];
  form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      return;
    }
    button.setAttribute("aria-busy", "true");
    button.textContent = form.dataset.once;
  });
  // The back button may restore this page from the cache, with the busy button.
  window.addEventListener("pageshow", () => {
    button.removeAttribute("aria-busy");
    button.replaceChildren(...label);
  });
}

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

document.querySelectorAll("form[data-once]").forEach(sendOnce);
setTimeout(refreshReceipt, REFRESH_INTERVAL_MS);
