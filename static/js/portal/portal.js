// The portal's entry: starts the behaviours that the page has elements for.
import { drawChart } from "./chart.js";
import { sendOnce } from "./forms.js";
import { askKeyKind } from "./key_kind.js";
import { followMerchant } from "./live.js";
import { showTimes, tellZone } from "./zone.js";

const portal = document.querySelector("[data-portal]");

// A page drawn for another zone has other days, so it loads again, once.
if (!tellZone(portal.dataset.zone)) {
  sendOnce(document);
  askKeyKind(document);
  showTimes(document);
  drawChart(document);
  followMerchant(portal, { onDraw: showTimes, onFiguresDraw: drawChart });
}

// On a phone the further filters are closed; without scripts they are open.
const narrow = window.matchMedia("(max-width: 47.99rem)");
const fold = () => {
  for (const details of document.querySelectorAll("[data-narrow-closed]")) {
    details.open = !narrow.matches;
  }
};
fold();
narrow.addEventListener("change", fold);

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

document.documentElement.setAttribute("data-started", "");
