// Keeps the portal at the server's state. Events, reconnects, returns and timers cause requests;
// only an answer changes the page.
import { fetchWithin } from "../poller.js";
import { pageMode } from "./csrf.js";
import { watchMerchant } from "./merchant_socket.js";

const GATHER_MS = 120;
const FIGURES_EVERY_MS = 1_000;
const POLL_MS = 10_000;
const LIVE_POLL_MS = 30_000;
const RETURN_WINDOW_MS = 500;

/** Say that `amount` came to screen readers; the alarm's script hears of it too. */
function sayPaid(amount) {
  const status = document.getElementById("said");
  const text = status.dataset.paid.replace("{amount}", amount.textContent.trim());
  status.textContent = text;
  document.querySelector("[data-first-steps]")?.remove(); // they end when money came
  document.dispatchEvent(new CustomEvent("money-came", { detail: { text } }));
}

async function fetchPage(url) {
  const headers = {
    Accept: "text/html",
    "Accept-Language": document.documentElement.lang,
    "X-Page-Mode": pageMode(),
  };
  const answer = await fetchWithin(url, { headers, redirect: "manual" });
  if (answer.status === 0 || answer.status === 401 || answer.status === 403) return "signed-out";
  if (answer.status === 409) return "other-mode";
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(answer.text, "text/html");
}

/** The list of rows: known rows are updated in place, new rows are added at the top. */
class Rows {
  #list;
  #onDraw;

  constructor(list, onDraw) {
    this.#list = list;
    this.#onDraw = onDraw;
  }

  #items() {
    return new Map([...this.#list.children].map((item) => [item.dataset.paymentId, item]));
  }

  has(id) {
    return this.#items().has(id);
  }

  get ids() {
    return [...this.#items().keys()];
  }

  get addsNew() {
    return this.#list.dataset.isFirst !== undefined;
  }

  oneUrl(ids) {
    const url = new URL(this.#list.dataset.oneUrl, window.location.href);
    url.searchParams.set("ids", ids.join(","));
    return url;
  }

  get listUrl() {
    return new URL(this.#list.dataset.rowsUrl, window.location.href);
  }

  /** Replace rows whose state is newer. */
  update(parsed) {
    const items = this.#items();
    for (const item of parsed.querySelectorAll(".row-item")) {
      const old = items.get(item.dataset.paymentId);
      if (old === undefined) continue;
      const isNewer = Number(item.dataset.sequence) > Number(old.dataset.sequence);
      if (!isNewer && item.dataset.mark === old.dataset.mark) continue;
      if (Number(item.dataset.sequence) < Number(old.dataset.sequence)) continue;
      const next = document.importNode(item, true);
      const hadFocus = old.contains(document.activeElement);
      old.replaceWith(next);
      this.#onDraw(next);
      next.classList.add("is-changed");
      if (hadFocus) next.querySelector("a").focus({ preventScroll: true });
      if (next.dataset.mark === "confirmed" && old.dataset.mark !== "confirmed") this.#say(next);
    }
  }

  /** Add new rows at the top of the list. */
  addNew(parsed) {
    const items = this.#items();
    const first = this.#list.firstElementChild;
    for (const item of parsed.querySelectorAll(".row-item")) {
      if (items.has(item.dataset.paymentId)) continue;
      if (first !== null && !this.#isNewer(item, first)) continue;
      const next = document.importNode(item, true);
      next.classList.add("is-changed");
      this.#list.insertBefore(next, first);
      this.#onDraw(next);
      if (next.dataset.mark === "confirmed") this.#say(next);
    }
    while (this.#list.children.length > Number(this.#list.dataset.rowsMax)) {
      this.#list.lastElementChild.remove();
    }
    if (this.#list.children.length > 0) {
      for (const hint of document.querySelectorAll("[data-empty]")) hint.remove();
    }
  }

  #isNewer(item, other) {
    return Number(item.dataset.created) > Number(other.dataset.created);
  }

  #say(item) {
    sayPaid(item.querySelector(".row__amount"));
  }
}

class LivePortal {
  #portal;
  #rows;
  #payment;
  #figures;
  #receipts;
  #onDraw;
  #banner = document.getElementById("connection");
  #checkSocket = () => {};
  #isLive = false;
  #hasFailed = false;
  #ending = ""; // why this page asks no more: "signed-out" or "other-mode"
  #changedIds = new Set();
  #gatherTimer = 0;
  #figuresAskedAt = -Infinity;
  #figuresTimer = 0;
  #pollTimer = 0;
  #returnedAt = -Infinity;

  constructor(portal, { onDraw }) {
    const list = document.querySelector("[data-live-rows]");
    this.#portal = portal;
    this.#rows = list === null ? null : new Rows(list, onDraw);
    this.#payment = document.querySelector("[data-one-payment]");
    this.#figures = document.querySelector("[data-figures-url]");
    this.#receipts = document.querySelector("[data-refresh-url]");
    this.#onDraw = onDraw;
  }

  get #hasLiveParts() {
    return [this.#rows, this.#payment, this.#figures, this.#receipts].some((part) => part !== null);
  }

  start() {
    window.addEventListener("offline", () => this.#say());
    window.addEventListener("online", () => this.#handleReturn({ force: true }));
    if (!navigator.onLine) this.#say();
    if (!this.#hasLiveParts) return;
    this.#checkSocket = watchMerchant(this.#portal.dataset.socketClient, {
      onChange: (id) => this.#handleChange(id),
      onReceipt: () => this.#attempt(() => this.#askReceipts()).then(() => this.#scheduleFigures()),
      onJoin: () => this.#askAll(),
      onLive: (isLive) => this.#setLive(isLive),
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#handleReturn();
    });
    window.addEventListener("focus", () => this.#handleReturn());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#handleReturn({ force: true });
    });
    this.#schedule();
  }

  #setLive(isLive) {
    this.#isLive = isLive;
    for (const sign of document.querySelectorAll("[data-live]")) sign.hidden = !isLive;
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#pollTimer);
    const jitter = 0.9 + Math.random() * 0.2;
    const pace = this.#isLive && !this.#hasFailed ? LIVE_POLL_MS : POLL_MS;
    this.#pollTimer = setTimeout(async () => {
      if (document.visibilityState === "visible") await this.#askAll();
      this.#schedule();
    }, pace * jitter);
  }

  #handleReturn({ force = false } = {}) {
    const now = performance.now();
    if (!force && now - this.#returnedAt < RETURN_WINDOW_MS) return;
    this.#returnedAt = now;
    this.#checkSocket();
    this.#askAll();
  }

  // Changes within GATHER_MS become one request.
  #handleChange(id) {
    this.#changedIds.add(id);
    if (this.#gatherTimer === 0) this.#gatherTimer = setTimeout(() => this.#ask(), GATHER_MS);
  }

  async #ask() {
    const ids = [...this.#changedIds];
    this.#changedIds.clear();
    this.#gatherTimer = 0;
    await this.#attempt(async () => {
      const paymentId = this.#payment?.dataset.onePayment;
      if (paymentId !== undefined && ids.includes(paymentId)) await this.#askPayment();
      if (this.#rows !== null) await this.#askRows(ids);
    });
    this.#scheduleFigures();
  }

  async #askAll() {
    if (!this.#hasLiveParts || this.#ending !== "") return;
    await this.#attempt(async () => {
      if (this.#payment !== null) await this.#askPayment();
      if (this.#rows !== null) await this.#askRows(null);
      if (this.#receipts !== null) await this.#askReceipts();
      if (this.#figures !== null) await this.#askFigures();
    });
  }

  // The list of money without a payment; its rows never change, so only new ones are drawn.
  async #askReceipts() {
    if (this.#receipts === null) return;
    const { refreshUrl, refreshMax } = this.#receipts.dataset;
    const parsed = await this.#fetchPage(new URL(refreshUrl, window.location.href));
    if (parsed === null) return;
    const links = (root) => [...root.querySelectorAll("a.row")].map((row) => row.href).join();
    const items = [...parsed.querySelectorAll(".row-item")].slice(0, Number(refreshMax ?? 100));
    const next = document.createElement("ol");
    for (const item of items) next.append(document.importNode(item, true));
    if (links(next) === links(this.#receipts)) return;
    if (this.#receipts.contains(document.activeElement)) return;
    this.#sayNewReceipt(next);
    this.#receipts.replaceChildren(...next.children);
    this.#onDraw(this.#receipts);
    const isEmpty = items.length === 0;
    const panel = this.#receipts.closest("[data-refresh-panel]");
    if (panel !== null) panel.hidden = isEmpty;
    if (!isEmpty) this.#receipts.parentElement.querySelector("[data-empty]")?.remove();
  }

  // Money without a payment: the newest row is new, unless the list lost rows alone.
  #sayNewReceipt(next) {
    const newest = next.querySelector("a.row");
    if (newest === null || document.getElementById("said") === null) return;
    const hrefs = [...this.#receipts.querySelectorAll("a.row")].map((row) => row.href);
    if (!hrefs.includes(newest.href)) sayPaid(newest.querySelector(".row__amount"));
  }

  async #askRows(ids) {
    const rowIds = ids === null ? this.#rows.ids : ids.filter((id) => this.#rows.has(id));
    if (rowIds.length > 0) {
      const parsed = await this.#fetchPage(this.#rows.oneUrl(rowIds.slice(0, 100)));
      if (parsed !== null) this.#rows.update(parsed);
    }
    if (this.#rows.addsNew && (ids === null || rowIds.length < ids.length)) {
      const parsed = await this.#fetchPage(this.#rows.listUrl);
      if (parsed !== null) this.#rows.addNew(parsed);
    }
  }

  async #askPayment() {
    const parsed = await this.#fetchPage(
      new URL(this.#payment.dataset.stateUrl, window.location.href),
    );
    const next = parsed?.querySelector(".one");
    const old = this.#payment.querySelector(".one");
    if (!next || Number(next.dataset.sequence) < Number(old.dataset.sequence)) return;
    const isSame =
      next.dataset.sequence === old.dataset.sequence && next.dataset.mark === old.dataset.mark;
    const entries = (root) => root.querySelectorAll(".timeline__entry").length;
    if (isSame && entries(next) === entries(old)) return;
    // Do not interrupt a merchant who types a refund; a later answer updates the page.
    if (old.contains(document.activeElement) && document.activeElement.matches("input")) return;
    const element = document.importNode(next, true);
    const hadFocus = old.contains(document.activeElement);
    this.#payment.querySelector(":scope > .notice")?.remove(); // it told of the state before
    old.replaceWith(element);
    this.#onDraw(element);
    if (hadFocus) document.getElementById("main").focus({ preventScroll: true });
    if (element.dataset.mark === "confirmed" && old.dataset.mark !== "confirmed") {
      sayPaid(element.querySelector(".one__amount"));
    }
  }

  #scheduleFigures() {
    if (this.#figures === null) return;
    clearTimeout(this.#figuresTimer);
    const wait = Math.max(0, this.#figuresAskedAt + FIGURES_EVERY_MS - performance.now());
    this.#figuresTimer = setTimeout(() => this.#attempt(() => this.#askFigures()), wait);
  }

  async #askFigures() {
    this.#figuresAskedAt = performance.now();
    const parsed = await this.#fetchPage(
      new URL(this.#figures.dataset.figuresUrl, window.location.href),
    );
    const next = parsed?.querySelector("#figures");
    const old = this.#figures.querySelector("#figures");
    if (!next) return;
    const tiles = (root) => root.querySelector(".tiles").textContent;
    const days = (root) => root.querySelector("[data-chart]").dataset.days;
    if (tiles(next) === tiles(old) && days(next) === days(old)) return;
    const element = document.importNode(next, true);
    const isOpen = old.querySelector("details").open;
    const hadFocus = old.querySelector("summary") === document.activeElement;
    old.replaceWith(element);
    element.querySelector("details").open = isOpen;
    if (hadFocus) element.querySelector("summary").focus({ preventScroll: true });
    this.#onDraw(element);
  }

  async #fetchPage(url) {
    const answer = await fetchPage(url);
    if (typeof answer !== "string") return answer;
    this.#ending = answer;
    return null;
  }

  async #attempt(work) {
    try {
      await work();
      this.#hasFailed = false;
    } catch {
      this.#hasFailed = true;
    }
    this.#say();
  }

  #say() {
    const { offline, unreachable, signedOut, otherMode } = this.#banner.dataset;
    let text = "";
    if (this.#ending === "signed-out") text = signedOut;
    else if (this.#ending === "other-mode") text = otherMode;
    else if (!navigator.onLine) text = offline;
    else if (this.#hasFailed) text = unreachable.replace("{seconds}", POLL_MS / 1000);
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
    this.#banner.hidden = text === "";
  }
}

/** Follow the merchant's payments that the page shows; `onDraw` gets each element just drawn. */
export function followMerchant(portal, callbacks) {
  new LivePortal(portal, callbacks).start();
}
