// The viewer's time zone: the server gets it in a cookie, for days; times are written here.
const COOKIE = "balcao_zone";
const NAME = /^[A-Za-z0-9_+\-/]{1,64}$/; // time zone names, which a cookie takes unquoted
const YEAR_SECONDS = 31_536_000;
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function cookieZone() {
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith(`${COOKIE}=`));
  return cookie === undefined ? null : cookie.slice(COOKIE.length + 1);
}

/**
 * Tell the server this browser's zone. Returns true if the page was drawn for another zone and
 * loads again; an answer to a form does not, nor a page whose cookie is refused. `path` is the
 * cookie's path.
 */
function tellZone(pageZone, path) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!NAME.test(zone) || cookieZone() === zone) return false;
  const secure = window.location.protocol === "https:" ? "; Secure" : "";
  document.cookie =
    `${COOKIE}=${zone}; Path=${path}; Max-Age=${YEAR_SECONDS}` +
    `; SameSite=Lax${secure}`;
  if (cookieZone() !== zone || zone === pageZone) return false;
  const isFormAnswer =
    performance.getEntriesByType("navigation")[0]?.type === "reload" ||
    document.querySelector("[aria-invalid], #made-key") !== null;
  if (isFormAnswer) return false;
  window.location.replace(window.location.href);
  return true;
}

function short(at, language) {
  const isThisYear = at.getFullYear() === new Date().getFullYear();
  const form = { day: "numeric", month: "short", ...(isThisYear ? {} : { year: "numeric" }) };
  const day = new Intl.DateTimeFormat(language, form).format(at);
  return `${day}, ${new Intl.DateTimeFormat(language, CLOCK).format(at)}`;
}

function offset(at, timeZone) {
  const form = new Intl.DateTimeFormat("en", { timeZoneName: "longOffset", timeZone });
  const part = form.formatToParts(at).find(({ type }) => type === "timeZoneName");
  return part.value === "GMT" ? "UTC+00:00" : part.value.replace("GMT", "UTC");
}

// `20/11/2026 às 14:35:02`; where the clocks do not show Brasília's time, with the offset.
function exact(at, language) {
  const isEnglish = language === "en";
  const month = isEnglish ? { day: "numeric", month: "short" } : { day: "2-digit", month: "2-digit" };
  const form = { ...month, year: "numeric" };
  const day = new Intl.DateTimeFormat(isEnglish ? "en-GB" : language, form).format(at);
  const clock = new Intl.DateTimeFormat(language, { ...CLOCK, second: "2-digit" }).format(at);
  const note = offset(at) === offset(at, "America/Sao_Paulo") ? "" : ` (${offset(at)})`;
  return `${day} ${isEnglish ? "at" : "às"} ${clock}${note}`;
}

/** Write each `time[data-time]` in the viewer's zone and language. */
function showTimes(root) {
  const language = document.documentElement.lang;
  for (const time of root.querySelectorAll("time[data-time]")) {
    const write = time.dataset.time === "exact" ? exact : short;
    time.textContent = write(new Date(time.dateTime), language);
  }
}

const { zone, zonePath } = document.querySelector("[data-zone]").dataset;
// A page drawn for another zone has other days, so it loads again, once.
if (!tellZone(zone, zonePath)) showTimes(document);
document.addEventListener("content-drawn", (event) => showTimes(event.target));
