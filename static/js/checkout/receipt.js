// The receipt's entry: times in the viewer's zone, and the print button.
import { showLocalTimes } from "../local_time.js";

showLocalTimes(document);
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
