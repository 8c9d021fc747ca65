// The payment page's entry: starts each behaviour and introduces them to each other.
import { copyCodes } from "../copy_code.js";
import { enlargeQr } from "./enlarge_qr.js";
import { followPayment } from "./live_payment.js";
import { showLocalTimes } from "../local_time.js";
import { offerShare } from "./share.js";
import { tellTraces } from "./trace.js";

function dress(root) {
  showLocalTimes(root);
  offerShare(root);
}

copyCodes(document);
enlargeQr(document);
dress(document);
followPayment(document.getElementById("checkout"), { drawn: dress });
tellTraces(document.getElementById("checkout"));
