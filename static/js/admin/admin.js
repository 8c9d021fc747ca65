// The administrators' pages: an overview that updates itself.
import { fetchWithin } from "../poller.js";

const EVERY_MS = 10_000;

class LiveOverview {
  #container;
  #banner = document.getElementById("connection");
  #timer = 0;
  #hasFailed = false;
  #isSignedOut = false;

  constructor(container) {
    this.#container = container;
  }

  start() {
    window.addEventListener("offline", () => this.#say());
    window.addEventListener("online", () => this.#askNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#askNow();
    });
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      if (document.visibilityState === "visible") await this.#ask();
      this.#schedule();
    }, EVERY_MS);
  }

  async #askNow() {
    await this.#ask();
    this.#schedule();
  }

  async #ask() {
    if (this.#isSignedOut) return;
    try {
      const url = new URL(this.#container.dataset.overviewUrl, window.location.href);
      const headers = { Accept: "text/html", "Accept-Language": document.documentElement.lang };
      const answer = await fetchWithin(url, { headers, redirect: "manual" });
      if ([0, 401, 403].includes(answer.status)) this.#isSignedOut = true;
      else if (answer.ok) this.#draw(answer.text);
      else throw new Error(`status ${answer.status}`);
      this.#hasFailed = false;
    } catch {
      this.#hasFailed = true;
    }
    this.#say();
  }

  // Keeps the scroll position, and the focus on the same link.
  #draw(html) {
    const next = new DOMParser().parseFromString(html, "text/html").querySelector("#overview");
    const old = this.#container.querySelector("#overview");
    if (next === null) throw new Error("no overview in the answer");
    const overview = document.importNode(next, true);
    const focusedHref = old.contains(document.activeElement)
      ? document.activeElement.getAttribute("href")
      : null;
    const { scrollX, scrollY } = window;
    old.replaceWith(overview);
    overview.dispatchEvent(new CustomEvent("content-drawn", { bubbles: true }));
    if (focusedHref !== null) {
      const links = [...overview.querySelectorAll("a")];
      const link = links.find((a) => a.getAttribute("href") === focusedHref);
      (link ?? document.getElementById("main")).focus({ preventScroll: true });
    }
    window.scrollTo(scrollX, scrollY);
  }

  #say() {
    const { offline, unreachable, signedOut } = this.#banner.dataset;
    let text = "";
    if (this.#isSignedOut) text = signedOut;
    else if (!navigator.onLine) text = offline;
    else if (this.#hasFailed) text = unreachable.replace("{seconds}", EVERY_MS / 1000);
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
    this.#banner.hidden = text === "";
  }
}

const container = document.querySelector("[data-overview-url]");
if (container !== null) new LiveOverview(container).start();

document.documentElement.setAttribute("data-started", "");
