// Draws the last thirty days as bars by uPlot, in place of the server's static chart. uPlot is
// loaded when the browser is idle, because until then the static chart shows the same days.
/* global uPlot */
const DAY_SECONDS = 86_400;
const HEIGHT = 220;
const IDLE_TIMEOUT_MS = 2_000;
const IDLE_FALLBACK_MS = 300; // Safari has no requestIdleCallback.

let chart = null;

function reais(centavos, options = {}) {
  const language = document.documentElement.lang;
  const form = { style: "currency", currency: "BRL", ...options };
  return new Intl.NumberFormat(language, form).format(centavos / 100);
}

// Days are formatted in UTC, because they are dates here, not instants.
function dayAt(seconds, form) {
  const language = document.documentElement.lang;
  const options = { ...form, timeZone: "UTC" };
  return new Intl.DateTimeFormat(language, options).format(new Date(seconds * 1000));
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const token = (name) => style.getPropertyValue(name).trim();
  return { bar: token("--action"), line: token("--line"), ink: token("--ink-soft") };
}

function options(container, counts) {
  const { bar, line, ink } = colours();
  const font = "12px system-ui, sans-serif";
  return {
    width: container.clientWidth,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    padding: [12, 0, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: {
      x: { range: (_u, min, max) => [min - DAY_SECONDS / 2, max + DAY_SECONDS / 2] },
      y: { range: (_u, _min, max) => [0, Math.max(max, 100) * 1.08] },
    },
    axes: [
      {
        stroke: ink,
        font,
        grid: { show: false },
        ticks: { show: false },
        size: 30,
        gap: 8,
        space: 64,
        values: (_u, days) => days.map((at) => dayAt(at, { day: "numeric", month: "short" })),
        incrs: [DAY_SECONDS, 2 * DAY_SECONDS, 5 * DAY_SECONDS, 7 * DAY_SECONDS, 10 * DAY_SECONDS],
      },
      {
        stroke: ink,
        font,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        size: 68,
        space: 44,
        values: (_u, amounts) =>
          amounts.map((amount) => reais(amount, { notation: "compact", maximumFractionDigits: 1 })),
      },
    ],
    series: [
      {},
      {
        stroke: bar,
        fill: bar,
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.66, 26], radius: 0.22 }),
      },
    ],
    hooks: { setCursor: [(plot) => showTip(plot, container, counts)] },
  };
}

// Shows the takings of the day under the pointer, beside its bar.
function showTip(plot, container, counts) {
  const tip = container.querySelector(".chart__tip");
  const { idx, left } = plot.cursor;
  if (idx === null || idx === undefined || left < 0) {
    tip.hidden = true;
    return;
  }
  const [at, amount] = [plot.data[0][idx], plot.data[1][idx]];
  tip.replaceChildren();
  const day = document.createElement("span");
  day.textContent = dayAt(at, { weekday: "short", day: "numeric", month: "short" });
  const sum = document.createElement("strong");
  sum.textContent = `${reais(amount)} · ${counts[idx]}`;
  tip.append(day, sum);
  tip.hidden = false;
  const x = plot.valToPos(at, "x") + plot.bbox.left / devicePixelRatio;
  const leftMax = container.clientWidth - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(4, Math.min(x - tip.offsetWidth / 2, leftMax))}px`;
}

function draw(container) {
  const days = JSON.parse(container.dataset.days);
  const data = [
    days.map(([day]) => Date.parse(`${day}T00:00:00Z`) / 1000),
    days.map(([, centavos]) => centavos),
  ];
  const tip = document.createElement("p");
  tip.className = "chart__tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  container.replaceChildren(tip);
  chart?.destroy();
  chart = new uPlot(options(container, days.map(([, , count]) => count)), data, container);
  container.dataset.drawn = "";
}

const resizeObserver = new ResizeObserver(([entry]) => {
  const width = Math.round(entry.contentRect.width);
  if (chart !== null && width > 0 && Math.abs(width - chart.width) > 1) {
    chart.setSize({ width, height: HEIGHT });
  }
});
const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");

/** Draw the chart that is in `root`, if one is, and follow its width and the colour scheme. */
function drawChart(root) {
  const container = root.querySelector("[data-chart]");
  if (container === null || typeof uPlot === "undefined") return;
  draw(container);
  resizeObserver.disconnect();
  resizeObserver.observe(container);
  darkScheme.onchange = () => draw(container);
}

function loadLibrary() {
  const script = document.createElement("script");
  script.src = document.querySelector("[data-chart-library]").dataset.chartLibrary;
  script.onload = () => drawChart(document);
  document.head.append(script);
}

function whenIdle(task) {
  if (window.requestIdleCallback === undefined) setTimeout(task, IDLE_FALLBACK_MS);
  else window.requestIdleCallback(task, { timeout: IDLE_TIMEOUT_MS });
}

function loadWhenIdle() {
  whenIdle(loadLibrary);
}

if (document.readyState === "complete") loadWhenIdle();
else window.addEventListener("load", loadWhenIdle, { once: true });
document.addEventListener("content-drawn", (event) => drawChart(event.target));
