// The alarm of "paid": a sound, if it is on, and the sum in the tab's title until the tab is
// looked at.
import { bindSound, playPaid } from "./counter_sound.js";

const title = document.title;
let paid = 0;

const isLookedAt = () => document.visibilityState === "visible" && document.hasFocus();

function clear() {
  if (paid === 0 || !isLookedAt()) return;
  paid = 0;
  document.title = title;
}

/** Announce money that came; `text` says how much, such as "Pago: R$ 54,90". */
function announcePaid(text) {
  playPaid();
  if (isLookedAt()) return;
  paid += 1;
  document.title = `(${paid}) ${text} · ${title}`;
}

window.addEventListener("focus", clear);
document.addEventListener("visibilitychange", clear);
document.addEventListener("money-came", (event) => announcePaid(event.detail.text));

// The counter page binds its own button.
if (document.querySelector("[data-counter]") === null) {
  bindSound(document.querySelector("[data-portal]"));
}
