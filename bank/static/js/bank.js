// What the pages do better with JavaScript; each of them works without.

const LOOK_AGAIN_MS = 1500;

/** Keep a form from being sent twice, and say that it is on its way. */
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
  // Back from the receipt, the browser shows the page as it was left.
  window.addEventListener("pageshow", () => {
    button.removeAttribute("aria-busy");
    button.replaceChildren(...label);
  });
}

/** Look at a receipt again until the shop has answered; only what changed is put in its place. */
async function followReceipt() {
  const shown = document.querySelector("[data-receipt]");
  if (!shown || shown.dataset.receipt !== "sent") return;
  try {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(4000) });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-receipt]");
      if (fresh && fresh.innerHTML !== shown.innerHTML) {
        shown.innerHTML = fresh.innerHTML;
        shown.dataset.receipt = fresh.dataset.receipt;
        document.title = page.title;
      }
    }
  } catch {
    // Offline or slow: the next look may succeed.
  }
  setTimeout(followReceipt, LOOK_AGAIN_MS);
}

document.querySelectorAll("form[data-once]").forEach(sendOnce);
setTimeout(followReceipt, LOOK_AGAIN_MS);
