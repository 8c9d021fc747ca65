// The portal's main script: follows the merchant's payments. The other scripts start by themselves.
import { followMerchant } from "./live.js";

followMerchant(document.querySelector("[data-portal]"), {
  onDraw: (root) => root.dispatchEvent(new CustomEvent("content-drawn", { bubbles: true })),
});

// On a phone the further filters are closed; without scripts they are open.
const narrow = window.matchMedia("(max-width: 47.99rem)");
const fold = () => {
  for (const details of document.querySelectorAll("[data-narrow-closed]")) {
    details.open = !narrow.matches;
  }
};
fold();
narrow.addEventListener("change", fold);

// The counter page has a main script of its own, which says that it has started.
if (document.querySelector("[data-counter]") === null) {
  document.documentElement.setAttribute("data-started", "");
}
