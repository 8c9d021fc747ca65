// Keeps the portal at the server's state: an event, a reconnect, a return and a timer are reasons
// to ask, and only an answer changes what is drawn.
import { fetchWithin } from "../poller.js";
import { watchMerchant } from "./merchant_socket.js";

const GATHER_MS = 120;
const FIGURES_EVERY_MS = 1_000;
const POLL_MS = 10_000;
const LIVE_POLL_MS = 30_000;
const RETURN_WINDOW_MS = 500;

async function page(url) {
  const headers = { Accept: "text/html", "Accept-Language": document.documentElement.lang };
  const answer = await fetchWithin(url, { headers, redirect: "manual" });
  if (answer.status === 0 || answer.status === 401 || answer.status === 403) return "signed-out";
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(answer.text, "text/html");
}

/** The list of rows: those on the page are renewed in place, new ones come in on top. */
class Rows {
  #list;
  #said;
  #drawn;

  constructor(list, drawn) {
    this.#list = list;
    this.#said = document.getElementById("said");
    this.#drawn = drawn;
  }

  #known() {
    return new Map([...this.#list.children].map((item) => [item.dataset.paymentId, item]));
  }

  has(id) {
    return this.#known().has(id);
  }

  get ids() {
    return [...this.#known().keys()];
  }

  get takesNew() {
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

  #arrived(item) {
    const next = document.importNode(item, true);
    this.#drawn(next);
    return next;
  }

  /** Put newer states of rows in the places of the older ones. */
  renew(parsed) {
    const known = this.#known();
    for (const item of parsed.querySelectorAll(".row-item")) {
      const old = known.get(item.dataset.paymentId);
      if (old === undefined) continue;
      const isNewer = Number(item.dataset.sequence) > Number(old.dataset.sequence);
      if (!isNewer && item.dataset.mark === old.dataset.mark) continue;
      if (Number(item.dataset.sequence) < Number(old.dataset.sequence)) continue;
      const next = this.#arrived(item);
      const held = old.contains(document.activeElement);
      old.replaceWith(next);
      next.classList.add("is-changed");
      if (held) next.querySelector("a").focus({ preventScroll: true });
      if (next.dataset.mark === "confirmed" && old.dataset.mark !== "confirmed") this.#say(next);
    }
  }

  /** Take in what is new at the head of the list. */
  takeIn(parsed) {
    const known = this.#known();
    const first = this.#list.firstElementChild;
    for (const item of parsed.querySelectorAll(".row-item")) {
      if (known.has(item.dataset.paymentId)) continue;
      if (first !== null && !this.#isNewer(item, first)) continue;
      const next = this.#arrived(item);
      next.classList.add("is-changed");
      this.#list.insertBefore(next, first);
    }
    while (this.#list.children.length > Number(this.#list.dataset.rowsMax)) {
      this.#list.lastElementChild.remove();
    }
    if (this.#list.children.length > 0) {
      for (const one of document.querySelectorAll("[data-empty], .first")) one.remove();
    }
  }

  #isNewer(item, than) {
    return Number(item.dataset.created) > Number(than.dataset.created);
  }

  #say(item) {
    const amount = item.querySelector(".row__amount").textContent.trim();
    this.#said.textContent = this.#said.dataset.paid.replace("{amount}", amount);
  }
}

class LivePortal {
  #portal;
  #rows;
  #one;
  #figures;
  #drawn;
  #figuresDrawn;
  #banner = document.getElementById("connection");
  #prove = () => {};
  #live = false;
  #failed = false;
  #signedOut = false;
  #gathered = new Set();
  #gathering = 0;
  #figuresAt = -Infinity;
  #figuresTimer = 0;
  #poll = 0;
  #returnedAt = -Infinity;

  constructor(portal, { drawn, figuresDrawn }) {
    const list = document.querySelector("[data-live-rows]");
    this.#portal = portal;
    this.#rows = list === null ? null : new Rows(list, drawn);
    this.#one = document.querySelector("[data-one-payment]");
    this.#figures = document.querySelector("[data-figures-url]");
    this.#drawn = drawn;
    this.#figuresDrawn = figuresDrawn;
  }

  get #follows() {
    return this.#rows !== null || this.#one !== null || this.#figures !== null;
  }

  start() {
    window.addEventListener("offline", () => this.#say());
    window.addEventListener("online", () => this.#returned({ anyway: true }));
    if (!navigator.onLine) this.#say();
    if (!this.#follows) return;
    this.#prove = watchMerchant(this.#portal.dataset.socketClient, {
      heard: (id) => this.#heard(id),
      joined: () => this.#everything(),
      live: (is) => this.#isLive(is),
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#returned();
    });
    window.addEventListener("focus", () => this.#returned());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#returned({ anyway: true });
    });
    this.#schedule();
  }

  #isLive(is) {
    this.#live = is;
    for (const one of document.querySelectorAll("[data-live]")) one.hidden = !is;
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#poll);
    const jitter = 0.9 + Math.random() * 0.2;
    const pace = this.#live && !this.#failed ? LIVE_POLL_MS : POLL_MS;
    this.#poll = setTimeout(async () => {
      if (document.visibilityState === "visible") await this.#everything();
      this.#schedule();
    }, pace * jitter);
  }

  #returned({ anyway = false } = {}) {
    const now = performance.now();
    if (!anyway && now - this.#returnedAt < RETURN_WINDOW_MS) return;
    this.#returnedAt = now;
    this.#prove();
    this.#everything();
  }

  // Several changes within a moment are one question.
  #heard(id) {
    this.#gathered.add(id);
    if (this.#gathering === 0) this.#gathering = setTimeout(() => this.#ask(), GATHER_MS);
  }

  async #ask() {
    const ids = [...this.#gathered];
    this.#gathered.clear();
    this.#gathering = 0;
    await this.#tried(async () => {
      if (this.#one !== null && ids.includes(this.#one.dataset.onePayment)) await this.#askOne();
      if (this.#rows !== null) await this.#askRows(ids);
    });
    this.#figuresSoon();
  }

  async #everything() {
    if (!this.#follows || this.#signedOut) return;
    await this.#tried(async () => {
      if (this.#one !== null) await this.#askOne();
      if (this.#rows !== null) await this.#askRows(null);
      if (this.#figures !== null) await this.#askFigures();
    });
  }

  async #askRows(ids) {
    const shown = ids === null ? this.#rows.ids : ids.filter((id) => this.#rows.has(id));
    if (shown.length > 0) {
      const parsed = await this.#page(this.#rows.oneUrl(shown.slice(0, 100)));
      if (parsed !== null) this.#rows.renew(parsed);
    }
    if (this.#rows.takesNew && (ids === null || shown.length < ids.length)) {
      const parsed = await this.#page(this.#rows.listUrl);
      if (parsed !== null) this.#rows.takeIn(parsed);
    }
  }

  async #askOne() {
    const parsed = await this.#page(new URL(this.#one.dataset.stateUrl, window.location.href));
    const next = parsed?.querySelector(".one");
    const old = this.#one.querySelector(".one");
    if (!next || Number(next.dataset.sequence) < Number(old.dataset.sequence)) return;
    const isSame =
      next.dataset.sequence === old.dataset.sequence && next.dataset.mark === old.dataset.mark;
    const entries = (one) => one.querySelectorAll(".timeline__entry").length;
    if (isSame && entries(next) === entries(old)) return;
    // Whoever is typing a refund is not interrupted: the next question brings it.
    if (old.contains(document.activeElement) && document.activeElement.matches("input")) return;
    const fresh = document.importNode(next, true);
    const held = old.contains(document.activeElement);
    this.#drawn(fresh);
    old.replaceWith(fresh);
    if (held) document.getElementById("main").focus({ preventScroll: true });
    if (fresh.dataset.mark === "confirmed" && old.dataset.mark !== "confirmed") {
      const said = document.getElementById("said");
      const amount = fresh.querySelector(".one__amount").textContent.trim();
      said.textContent = said.dataset.paid.replace("{amount}", amount);
    }
  }

  #figuresSoon() {
    if (this.#figures === null) return;
    clearTimeout(this.#figuresTimer);
    const wait = Math.max(0, this.#figuresAt + FIGURES_EVERY_MS - performance.now());
    this.#figuresTimer = setTimeout(() => this.#tried(() => this.#askFigures()), wait);
  }

  async #askFigures() {
    this.#figuresAt = performance.now();
    const parsed = await this.#page(
      new URL(this.#figures.dataset.figuresUrl, window.location.href),
    );
    const next = parsed?.querySelector("#figures");
    const old = this.#figures.querySelector("#figures");
    if (!next) return;
    const tiles = (one) => one.querySelector(".tiles").textContent;
    const days = (one) => one.querySelector("[data-chart]").dataset.days;
    if (tiles(next) === tiles(old) && days(next) === days(old)) return;
    const fresh = document.importNode(next, true);
    const isOpen = old.querySelector("details").open;
    const held = old.querySelector("summary") === document.activeElement;
    old.replaceWith(fresh);
    fresh.querySelector("details").open = isOpen;
    if (held) fresh.querySelector("summary").focus({ preventScroll: true });
    this.#figuresDrawn(this.#figures);
  }

  async #page(url) {
    const found = await page(url);
    if (found !== "signed-out") return found;
    this.#signedOut = true;
    return null;
  }

  async #tried(work) {
    try {
      await work();
      this.#failed = false;
    } catch {
      this.#failed = true;
    }
    this.#say();
  }

  #say() {
    const { offline, unreachable, signedOut } = this.#banner.dataset;
    let text = "";
    if (this.#signedOut) text = signedOut;
    else if (!navigator.onLine) text = offline;
    else if (this.#failed) text = unreachable.replace("{seconds}", POLL_MS / 1000);
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
    this.#banner.hidden = text === "";
  }
}

/** Follow whatever of the merchant's payments the page shows. */
export function followMerchant(portal, told) {
  new LivePortal(portal, told).start();
}
