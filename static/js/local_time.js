// Rewrites times in the viewer's time zone; the server writes Brasília time.
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function offset(at, timeZone) {
  const form = new Intl.DateTimeFormat("en", { timeZoneName: "longOffset", timeZone });
  const part = form.formatToParts(at).find(({ type }) => type === "timeZoneName");
  return part.value === "GMT" ? "UTC+00:00" : part.value.replace("GMT", "UTC");
}

/** Day and time, as the server writes them: `20/11/2026 às 14:35`; elsewhere with the offset. */
function fullTime(at, language) {
  const isEnglish = language === "en";
  const month = isEnglish ? { day: "numeric", month: "short" } : { day: "2-digit", month: "2-digit" };
  const form = { ...month, year: "numeric" };
  const day = new Intl.DateTimeFormat(isEnglish ? "en-GB" : language, form).format(at);
  const clock = new Intl.DateTimeFormat(language, CLOCK).format(at);
  const note = offset(at) === offset(at, "America/Sao_Paulo") ? "" : ` (${offset(at)})`;
  return `${day} ${isEnglish ? "at" : "às"} ${clock}${note}`;
}

/** Whole days from now until `at`, by the midnights between: 0 is today. */
function daysUntil(at) {
  const midnight = (instant) => new Date(instant).setHours(0, 0, 0, 0);
  return Math.round((midnight(at) - midnight(Date.now())) / 86_400_000);
}

/** Write the day beside the `<time>` in `place`, unless it is today. */
function showDay(place, language) {
  const time = place.querySelector("time");
  const days = daysUntil(new Date(time.dateTime));
  const { tomorrow, later } = place.dataset;
  let text = days === 1 ? tomorrow : later;
  if (days === 0) text = "{time}";
  const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short" });
  const [before, after] = text.replace("{day}", day.format(new Date(time.dateTime))).split("{time}");
  place.replaceChildren(before, time, after);
}

/** Rewrite each `<time>`: with its day in `[data-local-times]`, without in `[data-local-clock]`. */
function showLocalTimes(root) {
  const language = document.documentElement.lang;
  for (const time of root.querySelectorAll("[data-local-times] time[datetime]")) {
    time.textContent = fullTime(new Date(time.dateTime), language);
  }
  const clock = new Intl.DateTimeFormat(language, CLOCK);
  for (const time of root.querySelectorAll("[data-local-clock] time[datetime]")) {
    time.textContent = clock.format(new Date(time.dateTime));
  }
  for (const place of root.querySelectorAll("[data-local-day]")) showDay(place, language);
}

showLocalTimes(document);
document.addEventListener("content-drawn", (event) => showLocalTimes(event.target));
