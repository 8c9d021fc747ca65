// The payment page's entry: starts the behaviours.
import { copyCodes } from "../copy_code.js";
import { enlargeQr } from "./enlarge_qr.js";
import { followPayment } from "./live_payment.js";
import { showLocalTimes } from "../local_time.js";
import { offerShare } from "./share.js";
import { reportTraces } from "./trace.js";

function prepare(root) {
  showLocalTimes(root);
  offerShare(root);
}

copyCodes(document);
enlargeQr(document);
prepare(document);
followPayment(document.getElementById("checkout"), { onDraw: prepare });
reportTraces(document.getElementById("checkout"));
