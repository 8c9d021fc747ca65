// Rewrites times in the viewer's time zone; the server writes Brasília time.
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

function offsetOf(parts) {
  return parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
}

/** Day, time and offset, as the server writes them: `20 de nov. de 2026 14:35:02 (UTC-03:00)`. */
function fullTime(at, language) {
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(at);
  const clock = new Intl.DateTimeFormat(language, { ...CLOCK, second: "2-digit" }).format(at);
  const zone = new Intl.DateTimeFormat(language, { timeZoneName: "longOffset" }).formatToParts(at);
  return `${day} ${clock} (${offsetOf(zone)})`;
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
