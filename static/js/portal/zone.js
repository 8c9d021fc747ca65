// The viewer's zone: told to the server in a cookie, for days; used here for every time shown.
const COOKIE = "balcao_zone";
const NAME = /^[A-Za-z0-9_+\-/]{1,64}$/; // as tz names are, and as a cookie takes them bare
const YEAR_SECONDS = 31_536_000;
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function told() {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${COOKIE}=`));
  return found === undefined ? null : found.slice(COOKIE.length + 1);
}

/**
 * Tell the server this browser's zone. True when the page was drawn for another one and is being
 * asked for again; a page that answered a form stays, and so does one whose cookie is refused.
 * `path` is where the pages are that want to know.
 */
export function tellZone(drawnFor, path = "/portal") {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!NAME.test(zone) || told() === zone) return false;
  const secure = window.location.protocol === "https:" ? "; Secure" : "";
  document.cookie =
    `${COOKIE}=${zone}; Path=${path}; Max-Age=${YEAR_SECONDS}` +
    `; SameSite=Lax${secure}`;
  if (told() !== zone || zone === drawnFor) return false;
  const answeredAForm =
    performance.getEntriesByType("navigation")[0]?.type === "reload" ||
    document.querySelector("[aria-invalid], #made-key") !== null;
  if (answeredAForm) return false;
  window.location.replace(window.location.href);
  return true;
}

function short(at, language) {
  const own = at.getFullYear() === new Date().getFullYear();
  const form = { day: "numeric", month: "short", ...(own ? {} : { year: "numeric" }) };
  const day = new Intl.DateTimeFormat(language, form).format(at);
  return `${day}, ${new Intl.DateTimeFormat(language, CLOCK).format(at)}`;
}

function exact(at, language) {
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(at);
  const clock = new Intl.DateTimeFormat(language, { ...CLOCK, second: "2-digit" }).format(at);
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: "longOffset" }).formatToParts(at);
  const offset = parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
  return `${day}, ${clock} (${offset === "UTC" ? "UTC+00:00" : offset})`;
}

/** Write each `time[data-time]` in the viewer's own zone and language. */
export function showTimes(root) {
  const language = document.documentElement.lang;
  for (const time of root.querySelectorAll("time[data-time]")) {
    const write = time.dataset.time === "exact" ? exact : short;
    time.textContent = write(new Date(time.dateTime), language);
  }
}
