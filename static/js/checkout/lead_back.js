// Leads back to the shop after a confirmation, unless the shopper touches the page.
const SECONDS = 5;
const TOUCHES = ["pointerdown", "touchstart", "wheel", "keydown"];

// Once per payment and tab, so that the browser's *back* does not lead away again.
function isFirstTime(paymentId) {
  const name = `led-back-${paymentId}`;
  try {
    if (sessionStorage.getItem(name) !== null) return false;
    sessionStorage.setItem(name, "1");
  } catch {
    // Without a storage the shopper is led back each time.
  }
  return true;
}

/** Count down to the address of `link`, visibly, in `note`; a hidden page does not count. */
export function leadBack(link, note, paymentId) {
  if (!isFirstTime(paymentId)) return;
  const figure = note.querySelector("[data-seconds]");
  let left = SECONDS;

  function stop() {
    clearInterval(timer);
    // It keeps its room: what the shopper touches must not move under the finger.
    note.toggleAttribute("data-ended", true);
    for (const touch of TOUCHES) document.removeEventListener(touch, stop);
    window.removeEventListener("pagehide", stop);
  }

  const timer = setInterval(() => {
    if (!note.isConnected) stop();
    if (document.visibilityState !== "visible" || !note.isConnected) return;
    left -= 1;
    figure.textContent = left;
    if (left > 0) return;
    stop();
    window.location.assign(link.href);
  }, 1_000);
  for (const touch of TOUCHES) document.addEventListener(touch, stop, { passive: true });
  window.addEventListener("pagehide", stop);
  note.hidden = false;
}
