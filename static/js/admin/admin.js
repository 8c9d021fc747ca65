// The administrators' pages: times in the viewer's zone, and an overview that keeps itself fresh.
import { fetchWithin } from "../poller.js";
import { sendOnce } from "../portal/forms.js";
import { showTimes, tellZone } from "../portal/zone.js";

const EVERY_MS = 10_000;

class LiveOverview {
  #room;
  #banner = document.getElementById("connection");
  #timer = 0;
  #failed = false;
  #signedOut = false;

  constructor(room) {
    this.#room = room;
  }

  start() {
    window.addEventListener("offline", () => this.#say());
    window.addEventListener("online", () => this.#now());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#now();
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

  async #now() {
    await this.#ask();
    this.#schedule();
  }

  async #ask() {
    if (this.#signedOut) return;
    try {
      const url = new URL(this.#room.dataset.overviewUrl, window.location.href);
      const headers = { Accept: "text/html", "Accept-Language": document.documentElement.lang };
      const answer = await fetchWithin(url, { headers, redirect: "manual" });
      if ([0, 401, 403].includes(answer.status)) this.#signedOut = true;
      else if (answer.ok) this.#draw(answer.text);
      else throw new Error(`status ${answer.status}`);
      this.#failed = false;
    } catch {
      this.#failed = true;
    }
    this.#say();
  }

  // What is scrolled stays where it is, and whoever stands on a link stays on it.
  #draw(html) {
    const next = new DOMParser().parseFromString(html, "text/html").querySelector("#overview");
    const old = this.#room.querySelector("#overview");
    if (next === null) throw new Error("no overview in the answer");
    const fresh = document.importNode(next, true);
    showTimes(fresh);
    const held = old.contains(document.activeElement)
      ? document.activeElement.getAttribute("href")
      : null;
    const { scrollX, scrollY } = window;
    old.replaceWith(fresh);
    if (held !== null) {
      const same = [...fresh.querySelectorAll("a")].find((one) => one.getAttribute("href") === held);
      (same ?? document.getElementById("main")).focus({ preventScroll: true });
    }
    window.scrollTo(scrollX, scrollY);
  }

  #say() {
    const { offline, unreachable, signedOut } = this.#banner.dataset;
    let text = "";
    if (this.#signedOut) text = signedOut;
    else if (!navigator.onLine) text = offline;
    else if (this.#failed) text = unreachable.replace("{seconds}", EVERY_MS / 1000);
    if (this.#banner.textContent !== text) this.#banner.textContent = text;
    this.#banner.hidden = text === "";
  }
}

const admin = document.querySelector("[data-admin]");

// In another zone the days are others: the page is asked for again, once.
if (!tellZone(admin.dataset.zone, "/admin")) {
  showTimes(document);
  sendOnce(document);
  const room = document.querySelector("[data-overview-url]");
  if (room !== null) new LiveOverview(room).start();
}
