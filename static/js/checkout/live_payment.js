// Keeps the page at the server's state. Events and timers are reasons to ask; only an answer
// changes what is drawn.
import { Countdown } from "./countdown.js";
import { watchPayment } from "./live_socket.js";
import { Poller, fetchWithin } from "../poller.js";
import { StateLine } from "./state_line.js";

const CHECK_TIMEOUT_MS = 5_000;
const CHECKING_SHOWN_MS = 700;
const RETURN_WINDOW_MS = 500;
const STATUS_OF_PAGE = { waiting: "pending", refused: "expired" };

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function pageOf({ status, refusal }) {
  if (status === "pending") return "waiting";
  if (status === "expired" && refusal === "paid-too-late") return "refused";
  return status;
}

/** Follow the payment in `checkout`; `drawn(root)` is told of every region put on the page. */
export function followPayment(checkout, { drawn }) {
  new LivePayment(checkout, drawn).start();
}

class LivePayment {
  #checkout;
  #region;
  #drawn;
  #poller;
  #line;
  #countdown;
  #proveSocket;
  #drawing = null;
  #checkingView = null;
  #focusBefore = null;
  #returnedAt = -Infinity;

  constructor(checkout, drawn) {
    this.#checkout = checkout;
    this.#region = checkout.querySelector("#state");
    this.#drawn = drawn;
    this.#poller = new Poller(checkout.dataset.statusUrl, {
      answered: (answer) => this.#answered(answer),
      failed: () => this.#failed(),
    });
    this.#line = new StateLine(checkout.querySelector("#state-line"), {
      paceSeconds: () => this.#poller.paceSeconds,
      deadline: () => this.#region.querySelector("[data-deadline-time]").textContent.trim(),
    });
    this.#countdown = new Countdown(this.#region, {
      atZero: () => this.#deadlineReached(),
      speak: (minutes) => this.#speak(minutes),
      slept: () => this.#returned(),
    });
  }

  start() {
    this.#settleIn();
    this.#poller.start();
    this.#proveSocket = watchPayment(
      this.#checkout.dataset.socketClient,
      this.#checkout.dataset.paymentId,
      {
        hint: (message) => this.#hinted(message),
        live: (isLive) => this.#line.socket(isLive),
      },
    );
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#returned();
    });
    window.addEventListener("focus", () => this.#returned());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#returned();
    });
    window.addEventListener("online", () => {
      this.#line.connectivity();
      this.#returned({ anyway: true });
    });
    window.addEventListener("offline", () => this.#line.connectivity());
    this.#region.addEventListener("submit", (event) => {
      if (!event.target.matches("form[data-check]")) return;
      event.preventDefault();
      this.#check(event.target.action);
    });
    // The test strip says so when it did something to the payment, its deadline included.
    document.addEventListener("payment-touched", () =>
      this.#draw().catch(() => this.#poller.hurry()),
    );
  }

  get #section() {
    return this.#region.querySelector(":scope > .state:not(.state--checking)");
  }

  get #page() {
    return this.#section.dataset.page;
  }

  get #sequence() {
    return Number(this.#section.dataset.sequence);
  }

  // After each drawing: the line, the clock and the pace follow what is drawn.
  #settleIn() {
    const { page, line, remainingMs } = this.#section.dataset;
    this.#checkout.dataset.page = page;
    this.#line.drawn(page, line);
    this.#poller.rest(page === "confirmed" || page === "cancelled");
    this.#countdown.stop();
    if (page === "waiting") this.#syncClock(Number(remainingMs));
  }

  #syncClock(remainingMs) {
    this.#line.late(remainingMs <= 0);
    this.#countdown.sync(remainingMs);
  }

  // With an equal sequence only the clock may have moved: forward, from waiting to expired.
  #isNews(answer) {
    if (answer.sequence !== this.#sequence) return answer.sequence > this.#sequence;
    const page = pageOf(answer);
    return page !== this.#page && (this.#page === "waiting" || page === "refused");
  }

  async #answered(answer) {
    this.#line.answered();
    if (answer === null) return true;
    if (this.#isNews(answer)) {
      await this.#draw();
      return !this.#isNews(answer);
    }
    if (this.#page === "waiting" && answer.status === "pending")
      this.#stillWaiting(answer.remaining_ms);
    return true;
  }

  // At zero the server may still have a moment left: then the code comes back and counts on.
  #stillWaiting(remainingMs) {
    if (remainingMs <= 0) {
      this.#poller.hurry();
      return;
    }
    if (this.#checkingView?.dataset.reason === "deadline") this.#endChecking();
    this.#syncClock(remainingMs);
  }

  #failed() {
    this.#line.failed();
  }

  async #hinted({ status, sequence, remaining_ms: remainingMs }) {
    if (sequence > this.#sequence) {
      try {
        await this.#draw();
      } catch {
        this.#poller.hurry();
      }
    } else if (
      sequence === this.#sequence &&
      status !== (STATUS_OF_PAGE[this.#page] ?? this.#page)
    ) {
      await this.#poller.ask({ whole: true });
    } else if (status === "pending" && remainingMs > 0) {
      this.#stillWaiting(remainingMs);
    }
  }

  // Back from the bank's app, from sleep, from no network: the state may be anything, and the
  // socket may be dead.
  #returned({ anyway = false } = {}) {
    const now = performance.now();
    if (!anyway && now - this.#returnedAt < RETURN_WINDOW_MS) return;
    this.#returnedAt = now;
    this.#poller.hurry();
    this.#poller.ask({ whole: true });
    this.#proveSocket?.();
  }

  #draw() {
    this.#drawing ??= this.#fetchAndSwap().finally(() => {
      this.#drawing = null;
    });
    return this.#drawing;
  }

  async #fetchAndSwap() {
    const url = new URL(window.location.pathname, window.location.href);
    url.searchParams.set("fragment", "state");
    url.searchParams.set("lang", document.documentElement.lang);
    const response = await fetchWithin(url, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const next = new DOMParser()
      .parseFromString(response.text, "text/html")
      .querySelector(".state[data-page]");
    if (next === null) throw new Error("no state in the answer");
    if (Number(next.dataset.sequence) >= this.#sequence)
      this.#swap(document.importNode(next, true));
  }

  #swap(next) {
    const changed = next.dataset.page !== this.#page;
    const held = this.#region.contains(document.activeElement);
    const unfolded = this.#region.querySelector(".fold")?.open;
    this.#forgetChecking();
    this.#region.replaceChildren(next);
    if (unfolded) next.querySelector(".fold")?.setAttribute("open", "");
    this.#settleIn();
    this.#drawn(next);
    document.title = next.dataset.title;
    if (changed || held) next.querySelector("h1").focus({ preventScroll: !changed });
  }

  async #deadlineReached() {
    this.#line.late(true);
    if (this.#page !== "waiting" || this.#checkingView !== null) return;
    this.#beginChecking("deadline");
    this.#poller.hurry();
    await this.#poller.ask({ whole: true });
  }

  // "Já paguei": the service asks the bank, once; then the page looks more often for a minute.
  async #check(url) {
    if (this.#checkingView !== null) return;
    const view = this.#beginChecking("asked");
    const shown = pause(CHECKING_SHOWN_MS);
    this.#poller.hurry({ fastMs: 30_000, briskMs: 60_000 });
    const answered = await this.#askTheBank(url);
    await shown;
    if (this.#checkingView !== view) return;
    this.#endChecking();
    const note = this.#section.querySelector("[data-check-note]");
    if (note !== null) note.hidden = !answered;
    this.#line.say(answered ? "notYet" : "unanswered");
    if (this.#countdown.leftMs === Infinity) this.#deadlineReached();
  }

  async #askTheBank(url) {
    try {
      const options = { method: "POST", headers: { Accept: "application/json" } };
      const response = await fetchWithin(url, options, { ms: CHECK_TIMEOUT_MS });
      if (!response.ok) return false;
      await this.#answered(JSON.parse(response.text));
      return true;
    } catch {
      return false;
    }
  }

  #beginChecking(reason) {
    const view = document.getElementById("checking").content.firstElementChild.cloneNode(true);
    view.dataset.reason = reason;
    this.#focusBefore = this.#region.contains(document.activeElement)
      ? document.activeElement
      : null;
    this.#region.style.minHeight = `${this.#region.offsetHeight}px`;
    this.#section.hidden = true;
    this.#region.append(view);
    this.#checkingView = view;
    if (this.#focusBefore !== null) view.querySelector("h1").focus({ preventScroll: true });
    this.#line.checking(true);
    return view;
  }

  #endChecking() {
    this.#checkingView.remove();
    this.#section.hidden = false;
    this.#focusBefore?.focus({ preventScroll: true });
    this.#forgetChecking();
  }

  #forgetChecking() {
    this.#checkingView = null;
    this.#focusBefore = null;
    this.#region.style.minHeight = "";
    this.#line.checking(false);
  }

  #speak(minutes) {
    const said = this.#checkout.querySelector("#time-said");
    const { minute, minutes: many } = said.dataset;
    said.textContent = minutes === 1 ? minute : many.replace("{minutes}", minutes);
  }
}
