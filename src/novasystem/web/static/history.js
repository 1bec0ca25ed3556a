// History: what is chosen stays chosen over pages; each model's figures over time.

import { $, $$, announce, colour, el, seconds, three } from "./dom.js";
import { request } from "./fetch.js";

const MOST = 10;
const KEY = "nova-chosen";
const chosen = new Set(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));

$("#zone").value = new Date().getTimezoneOffset();

// Choosing

function show() {
  for (const box of $$('input[name="ids"]')) {
    box.checked = chosen.has(box.value);
    box.disabled = !box.checked && chosen.size >= MOST;
  }
  const bar = $("#chosen");
  bar.hidden = chosen.size === 0;
  const text = chosen.size === 1 ? "One is chosen; choose another one." : `${chosen.size} are chosen${chosen.size >= MOST ? ", the most" : ""}.`;
  if ($("#chosen-count").textContent !== text) $("#chosen-count").textContent = text;
  $("#compare").disabled = chosen.size < 2;
  sessionStorage.setItem(KEY, JSON.stringify([...chosen]));
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.name !== "ids") return;
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
  show();
});
$("#choose-none").addEventListener("click", () => {
  chosen.clear();
  show();
});
$("#choose").addEventListener("submit", (event) => {
  // Those of other pages too, in the order in which they were chosen.
  event.preventDefault();
  if (chosen.size < 2) return;
  location.assign(`${event.target.action}?ids=${[...chosen].map(encodeURIComponent).join(",")}`);
});
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "list") return;
  // The order goes on with the next filter.
  const asked = new URL(event.detail.pathInfo.finalRequestPath, location.href).searchParams;
  const fields = $("#filters").elements;
  fields.sort.value = asked.get("sort") ?? "timestamp";
  fields.order.value = asked.get("order") ?? "desc";
  show();
  draw();
});
show();

// Over time

const FIGURES = {
  ttft: { label: "Time to first token", value: (one) => one.timing.time_to_first_token, show: seconds },
  pace: { label: "Tokens a second", value: (one) => one.throughput.output_tokens_per_second, show: three },
  total: { label: "Total time", value: (one) => one.timing.total_time, show: seconds },
};
const place = $("#trend");
let chart = null;
let rows = [];
let drawn = null;

/** The filters of the list as the interface takes them. */
function filters() {
  const form = new FormData($("#filters"));
  const asked = new URLSearchParams({ limit: "300" });
  if (form.get("model")) asked.set("model", form.get("model"));
  if (form.get("text")?.trim()) asked.set("text", form.get("text"));
  // Days on the reader's clock, of which the last one is part.
  for (const [name, days] of [["since", 0], ["until", 1]]) {
    const at = Date.parse(`${form.get(name)}T00:00Z`) + days * 86_400_000 + Number(form.get("zone")) * 60_000;
    if (!Number.isNaN(at)) asked.set(name, new Date(at).toISOString());
  }
  const outcome = form.get("outcome");
  if (outcome === "good" || outcome === "bad") asked.set("success", String(outcome === "good"));
  if (outcome === "running") for (const status of ["queued", "running"]) asked.append("status", status);
  return asked.toString();
}

async function draw() {
  const asked = filters();
  // Another page or order of the same benchmarks: the lines stay as they are.
  if (drawn === asked) return;
  drawn = asked;
  let found;
  try {
    found = await (await request("GET", `/api/benchmarks/history?${asked}`)).json();
  } catch (error) {
    if (drawn !== asked) return;
    drawn = null;
    $("#trend-hint").textContent = `${error.message} ${error.hint ?? ""}`;
    return;
  }
  // An answer that others were asked for after is not wanted any more.
  if (drawn !== asked) return;
  rows = found;
  plot();
}

function plot() {
  const figure = FIGURES[$("#metric").value];
  const wanted = $("#filters").elements.model.value;
  const points = new Map();
  for (const benchmark of rows) {
    const at = Date.parse(benchmark.timestamp) / 1000;
    for (const one of benchmark.results) {
      const value = figure.value(one);
      if (!one.success || value === null || value === undefined || (wanted && one.model !== wanted)) continue;
      if (!points.has(one.model)) points.set(one.model, new Map());
      points.get(one.model).set(at, value);
    }
  }
  const models = [...points.keys()].sort().slice(0, 8);
  const times = [...new Set(models.flatMap((model) => [...points.get(model).keys()]))].sort((a, b) => a - b);
  chart?.destroy();
  chart = null;
  place.replaceChildren();
  const hint = $("#trend-hint");
  if (times.length < 2) {
    hint.textContent = "";
    place.append(el("p", { class: "quiet" }, "A line needs two benchmarks: there is one more to run."));
    return;
  }
  const quiet = colour("--quiet");
  const axis = { stroke: quiet, grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  chart = new window.uPlot(
    {
      width: place.clientWidth,
      height: 260,
      scales: { y: { range: (_, __, most) => [0, most * 1.1 || 1] } },
      axes: [axis, { ...axis, size: 70, values: (_, all) => all.map((value) => (value ? figure.show(value) : "0")) }],
      series: [
        { label: "When", value: (_, at) => (at === null ? "" : new Date(at * 1000).toLocaleString()) },
        ...models.map((model, number) => ({
          label: model,
          stroke: colour(`--c${number % 8}`),
          width: 2,
          spanGaps: true,
          points: { show: true, size: 6 },
          value: (_, value) => (value === null || value === undefined ? "" : figure.show(value)),
        })),
      ],
    },
    [times, ...models.map((model) => times.map((at) => points.get(model).get(at) ?? null))],
    place,
  );
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `${figure.label} of ${models.join(", ")} over ${times.length} benchmarks`);
  hint.textContent = `The newest ${rows.length} benchmarks under these filters; the newest stand at the right.`;
}

$("#metric").addEventListener("change", () => {
  plot();
  announce(`${FIGURES[$("#metric").value].label} is shown.`);
});
document.addEventListener("nova:theme", plot);
new ResizeObserver(() => {
  if (chart && chart.width !== place.clientWidth) chart.setSize({ width: place.clientWidth, height: 260 });
}).observe(place);
draw();
