// Keeps the page at the server's state. Events and timers cause requests; only an answer changes
// the page.
import { Countdown } from "./countdown.js";
import { watchPayment } from "./live_socket.js";
import { Poller, fetchWithin } from "../poller.js";
import { StateLine } from "./state_line.js";

const CHECK_TIMEOUT_MS = 5_000;
const CHECKING_MS = 700;
const RETURN_WINDOW_MS = 500;
const STATUS_OF_PAGE = { waiting: "pending", refused: "expired", refunded: "confirmed" };
const MIDNIGHT_SLACK_MS = 500;
const REDRAW_AGAIN_MS = 10_000;
const FINAL_PAGES = new Set(["confirmed", "refunded", "cancelled"]);

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function pageOf({ status, refusal }) {
  if (status === "pending") return "waiting";
  if (status === "expired" && refusal === "paid-too-late") return "refused";
  return status;
}

/** Follow the payment in `checkout`; `onDraw(root)` gets each region put on the page. */
export function followPayment(checkout, { onDraw }) {
  new LivePayment(checkout, onDraw).start();
}

class LivePayment {
  #checkout;
  #region;
  #onDraw;
  #poller;
  #line;
  #countdown;
  #checkSocket;
  #drawing = null;
  #checkingView = null;
  #lastFocus = null;
  #returnedAt = -Infinity;
  #amountTimer;

  constructor(checkout, onDraw) {
    this.#checkout = checkout;
    this.#region = checkout.querySelector("#state");
    this.#onDraw = onDraw;
    this.#poller = new Poller(checkout.dataset.statusUrl, {
      onAnswer: (answer) => this.#handleAnswer(answer),
      onFailure: () => this.#line.fail(),
    });
    this.#line = new StateLine(checkout.querySelector("#state-line"), {
      paceSeconds: () => this.#poller.paceSeconds,
      deadline: () => this.#region.querySelector("[data-deadline-time]").textContent.trim(),
    });
    this.#countdown = new Countdown(this.#region, {
      onZero: () => this.#handleDeadline(),
      speak: (minutes) => this.#speak(minutes),
      onWake: () => this.#handleReturn(),
    });
  }

  start() {
    this.#applyState();
    this.#poller.start();
    this.#checkSocket = watchPayment(
      this.#checkout.dataset.socketClient,
      this.#checkout.dataset.paymentId,
      {
        onHint: (message) => this.#handleHint(message),
        onLive: (isLive) => this.#line.setSocket(isLive),
        onTrust: (isTrusted) => this.#poller.trust(isTrusted),
      },
    );
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#handleReturn();
    });
    window.addEventListener("focus", () => this.#handleReturn());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#handleReturn();
    });
    window.addEventListener("online", () => {
      this.#line.update();
      this.#handleReturn({ force: true });
    });
    window.addEventListener("offline", () => {
      this.#line.update();
      this.#checkSocket?.();
    });
    this.#region.addEventListener("submit", (event) => {
      if (!event.target.matches("form[data-check]")) return;
      event.preventDefault();
      this.#check(event.target.action);
    });
    // The test strip may have changed the payment or its deadline.
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

  // After each drawing: set the state line, the clock and the pace.
  #applyState() {
    const { page, line, remainingMs } = this.#section.dataset;
    this.#checkout.dataset.page = page;
    this.#line.setPage(page, line);
    this.#poller.rest(FINAL_PAGES.has(page));
    this.#countdown.stop();
    if (page === "waiting") this.#syncClock(Number(remainingMs));
    this.#awaitNextAmount();
  }

  // A charge with a due date costs another amount from midnight on, which no event tells.
  #awaitNextAmount() {
    clearTimeout(this.#amountTimer);
    const { amountMs } = this.#section.dataset;
    if (amountMs !== undefined) this.#redrawIn(Number(amountMs) + MIDNIGHT_SLACK_MS);
  }

  #redrawIn(milliseconds) {
    this.#amountTimer = setTimeout(
      () => this.#draw().catch(() => this.#redrawIn(REDRAW_AGAIN_MS)),
      milliseconds,
    );
  }

  #syncClock(remainingMs) {
    this.#line.setLate(remainingMs <= 0);
    this.#countdown.sync(remainingMs);
  }

  // With an equal sequence only time can have changed the page, from waiting to expired.
  #isNews(answer) {
    if (answer.sequence !== this.#sequence) return answer.sequence > this.#sequence;
    const page = pageOf(answer);
    return page !== this.#page && (this.#page === "waiting" || page === "refused");
  }

  async #handleAnswer(answer) {
    this.#line.succeed();
    if (answer === null) return true;
    if (this.#isNews(answer)) {
      await this.#draw();
      return !this.#isNews(answer);
    }
    if (this.#page === "waiting" && answer.status === "pending")
      this.#keepWaiting(answer.remaining_ms);
    return true;
  }

  // At zero the server may still count some time left: show the code again.
  #keepWaiting(remainingMs) {
    if (remainingMs <= 0) {
      this.#poller.hurry();
      return;
    }
    if (this.#checkingView?.dataset.reason === "deadline") this.#endChecking();
    this.#syncClock(remainingMs);
  }

  async #handleHint({ status, sequence, remaining_ms: remainingMs }) {
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
      this.#keepWaiting(remainingMs);
    }
  }

  // After the bank's app, a sleep or no network, the state may be old and the socket dead.
  #handleReturn({ force = false } = {}) {
    const now = performance.now();
    if (!force && now - this.#returnedAt < RETURN_WINDOW_MS) return;
    this.#returnedAt = now;
    this.#poller.hurry();
    this.#poller.ask({ whole: true });
    this.#checkSocket?.();
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
    const isNewPage = next.dataset.page !== this.#page;
    const hadFocus = this.#region.contains(document.activeElement);
    const isOpen = this.#region.querySelector(".fold")?.open;
    this.#clearChecking();
    this.#region.replaceChildren(next);
    this.#checkout.querySelector(".checkout__amount").textContent = next.dataset.amount;
    if (isOpen) next.querySelector(".fold")?.setAttribute("open", "");
    this.#applyState();
    this.#onDraw(next);
    document.title = next.dataset.title;
    if (isNewPage || hadFocus) next.querySelector("h1").focus({ preventScroll: !isNewPage });
  }

  async #handleDeadline() {
    this.#line.setLate(true);
    if (this.#page !== "waiting" || this.#checkingView !== null) return;
    this.#beginChecking("deadline");
    this.#poller.hurry();
    await this.#poller.ask({ whole: true });
  }

  // "Já paguei": the service asks the bank once; then the page polls faster for a minute.
  async #check(url) {
    if (this.#checkingView !== null) return;
    const view = this.#beginChecking("button");
    const minimum = pause(CHECKING_MS);
    this.#poller.hurry({ fastMs: 30_000, briskMs: 60_000 });
    const isAnswered = await this.#askBank(url);
    await minimum;
    if (this.#checkingView !== view) return;
    this.#endChecking();
    const note = this.#section.querySelector("[data-check-note]");
    if (note !== null) note.hidden = !isAnswered;
    this.#line.say(isAnswered ? "notYet" : "unanswered");
    if (this.#countdown.remainingMs === Infinity) this.#handleDeadline();
  }

  async #askBank(url) {
    try {
      const options = { method: "POST", headers: { Accept: "application/json" } };
      const response = await fetchWithin(url, options, { ms: CHECK_TIMEOUT_MS });
      if (!response.ok) return false;
      const answer = JSON.parse(response.text);
      await this.#handleAnswer(answer);
      return answer.inquiry !== "no-answer";
    } catch {
      return false;
    }
  }

  #beginChecking(reason) {
    const view = document.getElementById("checking").content.firstElementChild.cloneNode(true);
    view.dataset.reason = reason;
    this.#lastFocus = this.#region.contains(document.activeElement)
      ? document.activeElement
      : null;
    this.#region.style.minHeight = `${this.#region.offsetHeight}px`;
    this.#section.hidden = true;
    this.#region.append(view);
    this.#checkingView = view;
    if (this.#lastFocus !== null) view.querySelector("h1").focus({ preventScroll: true });
    this.#line.setChecking(true);
    return view;
  }

  #endChecking() {
    this.#checkingView.remove();
    this.#section.hidden = false;
    this.#lastFocus?.focus({ preventScroll: true });
    this.#clearChecking();
  }

  #clearChecking() {
    this.#checkingView = null;
    this.#lastFocus = null;
    this.#region.style.minHeight = "";
    this.#line.setChecking(false);
  }

  #speak(minutes) {
    const line = this.#checkout.querySelector("#time-said");
    const { minute, minutes: many } = line.dataset;
    line.textContent = minutes === 1 ? minute : many.replace("{minutes}", minutes);
  }
}
