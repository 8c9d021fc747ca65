// The portal's entry: starts each behaviour that the page has a place for.
import { copyCodes } from "../copy_code.js";
import { drawChart } from "./chart.js";
import { sendOnce } from "./forms.js";
import { askKeyKind } from "./key_kind.js";
import { followMerchant } from "./live.js";
import { showTimes, tellZone } from "./zone.js";

const portal = document.querySelector("[data-portal]");

// In another zone the days are others: the page is asked for again, once.
if (!tellZone(portal.dataset.zone)) {
  copyCodes(document);
  sendOnce(document);
  askKeyKind(document);
  showTimes(document);
  drawChart(document);
  followMerchant(portal, { drawn: showTimes, figuresDrawn: drawChart });
}

// On a phone what narrows further is folded away; without scripts it stands open.
const narrow = window.matchMedia("(max-width: 47.99rem)");
const fold = () => {
  for (const one of document.querySelectorAll("[data-narrow-closed]")) one.open = !narrow.matches;
};
fold();
narrow.addEventListener("change", fold);

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
