// The counter page: keypad, QR, paid. The server draws each stage; this file swaps them without a
// new page, so that the sound which a tap has unlocked stays unlocked.
import { fetchWithin } from "../poller.js";
import { bindKeypad } from "./counter_keypad.js";
import { bindSound, playPaid } from "./counter_sound.js";
import { watchMerchant } from "./merchant_socket.js";

const POLL_MS = 3_000;

const counter = document.querySelector("[data-counter]");
const client = document.querySelector("[data-portal]").dataset.socketClient;
let isAsking = false;

const stageOf = (root) => root.querySelector("[data-stage]");

function show(text) {
  const next = stageOf(new DOMParser().parseFromString(text, "text/html"));
  if (next === null) {
    window.location.reload(); // signed out, or an error page
    return;
  }
  const old = stageOf(counter);
  const element = document.importNode(next, true);
  old.replaceWith(element);
  bindStage();
  if (element.dataset.url !== undefined) window.history.replaceState(null, "", element.dataset.url);
  if (element.dataset.stage === "paid") playPaid();
  if (element.dataset.stage !== "keypad") element.querySelector("h1").focus();
}

async function ask(url, options) {
  const headers = { Accept: "text/html", "Accept-Language": document.documentElement.lang };
  const answer = await fetchWithin(url, { headers, ...options });
  return answer.text;
}

/** Ask the server whether the QR on the screen is paid. */
async function refresh() {
  const stage = stageOf(counter);
  if (isAsking || stage.dataset.stage !== "waiting") return;
  isAsking = true;
  try {
    const text = await ask(stage.dataset.url);
    const next = stageOf(new DOMParser().parseFromString(text, "text/html"));
    if (stageOf(counter) === stage && next !== null && next.dataset.stage !== "waiting") show(text);
  } catch {
    // The next poll asks again.
  } finally {
    isAsking = false;
  }
}

function bindStage() {
  bindKeypad(stageOf(counter));
  bindSound(counter);
}

counter.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-counter-form]");
  if (form === null || form.dataset.isNative !== undefined) return;
  event.preventDefault();
  if (form.dataset.sent !== undefined) return;
  form.dataset.sent = "";
  const body = new URLSearchParams(new FormData(form));
  const { submitter } = event;
  if (submitter?.name) body.set(submitter.name, submitter.value);
  try {
    show(await ask(form.action, { method: "POST", body }));
  } catch {
    delete form.dataset.sent;
    form.dataset.isNative = "";
    if (form.requestSubmit) form.requestSubmit(submitter);
    else form.submit();
  }
});

counter.addEventListener("click", async (event) => {
  const link = event.target.closest("[data-counter-link]");
  if (link === null) return;
  event.preventDefault();
  try {
    show(await ask(link.href));
  } catch {
    window.location.assign(link.href);
  }
});

bindStage();
watchMerchant(client, { onChange: refresh, onReceipt: refresh, onJoin: refresh, onLive: () => {} });
setInterval(refresh, POLL_MS);
for (const name of ["focus", "online", "pageshow"]) window.addEventListener(name, refresh);
document.addEventListener("visibilitychange", refresh);

document.documentElement.setAttribute("data-started", "");
