// The receipt's main script: the print button. Times start by themselves.
import "../print.js";

document.documentElement.setAttribute("data-started", "");
