// What the machine does while models answer: CPU, memory and GPU over one time axis.

import { colour, el } from "./dom.js";

const GIB = 2 ** 30;
const HEIGHT = 130;

/**
 * Three charts whose time axes are one: pointing at a moment in one points at it in all.
 * add(event) takes a "machine" event; draw() shows what has come.
 */
export class Curves {
  constructor(name) {
    this.sync = window.uPlot.sync(name);
    this.grid = el("div", { class: "curves-grid" });
    this.place = el("div", { class: "curves", role: "group", "aria-label": "What the machine does" }, this.grid);
    this.times = [];
    this.rows = [];
    this.charts = new Map();
    this.reasons = el("p", { class: "quiet small" });
    this.place.append(this.reasons);
    this.behind = false;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.place);
    this.onTheme = () => this.rebuild();
    document.addEventListener("nova:theme", this.onTheme);
  }

  add(event) {
    if (this.times.length && event.elapsed_s <= this.times.at(-1)) return;
    this.times.push(event.elapsed_s);
    this.rows.push(event);
    if (event.absent) this.reasons.textContent = missing(event.absent);
    this.behind = true;
  }

  draw() {
    if (!this.behind) return;
    this.behind = false;
    for (const spec of specs(this.rows)) {
      const data = [this.times, ...spec.lines.map((line) => this.rows.map(line.value))];
      const known = this.charts.get(spec.title);
      if (known && known.series.length === data.length) known.setData(data);
      else {
        this.charts.set(spec.title, this.make(spec, data, known));
        // One more beside them makes all of them narrower.
        this.resize();
      }
    }
  }

  make(spec, data, before) {
    const quiet = colour("--quiet");
    const axis = { stroke: quiet, grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
    const place = before ? before.root.parentElement : null;
    before?.destroy();
    const holder = place ?? el("div", { class: "curve" });
    if (!place) this.grid.append(holder);
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", `${spec.title} over time`);
    const options = {
      title: spec.title,
      width: holder.clientWidth || 300,
      height: HEIGHT,
      cursor: { sync: { key: this.sync.key }, y: false, drag: { x: false, y: false } },
      legend: { show: true },
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, spec.most ?? Math.max(most * 1.1, 0.1)] } },
      axes: [
        { ...axis, size: 26, values: (_, all) => all.map((at) => `${Number(at.toFixed(2))} s`) },
        { ...axis, size: 46 },
      ],
      series: [
        { label: "Time", value: (_, at) => (at === null ? "" : `${at.toFixed(1)} s`) },
        ...spec.lines.map((line, number) => ({
          label: line.label,
          stroke: colour(`--c${number % 8}`),
          width: 2,
          points: { show: false },
          spanGaps: true,
          value: (_, value) => (value === null || value === undefined ? "" : `${value.toFixed(spec.digits)} ${spec.unit}`),
        })),
      ],
    };
    return new window.uPlot(options, data, holder);
  }

  resize() {
    for (const chart of this.charts.values()) {
      const width = chart.root.parentElement.clientWidth;
      if (width && chart.width !== width) chart.setSize({ width, height: HEIGHT });
    }
  }

  rebuild() {
    for (const chart of this.charts.values()) {
      const holder = chart.root.parentElement;
      chart.destroy();
      holder.remove();
    }
    this.charts.clear();
    this.behind = this.rows.length > 0;
    this.draw();
  }

  close() {
    document.removeEventListener("nova:theme", this.onTheme);
    this.observer.disconnect();
    for (const chart of this.charts.values()) chart.destroy();
  }
}

function specs(rows) {
  const servers = [...new Set(rows.flatMap((row) => Object.keys(row.servers ?? {})))];
  const cards = Math.max(0, ...rows.map((row) => row.gpus?.length ?? 0));
  const found = [
    {
      title: "CPU",
      unit: "%",
      digits: 0,
      most: 100,
      lines: [{ label: "all cores", value: (row) => mean(row.cpu_percent) }, ...perCore(rows)],
    },
    {
      title: "Memory, GiB",
      unit: "GiB",
      digits: 2,
      lines: [
        { label: "machine", value: (row) => row.memory_bytes / GIB },
        ...servers.map((name) => ({
          label: name,
          value: (row) => (row.servers?.[name] ? row.servers[name].memory_bytes / GIB : null),
        })),
      ],
    },
  ];
  if (cards) {
    found.push({
      title: "GPU",
      unit: "%",
      digits: 0,
      most: 100,
      lines: Array.from({ length: cards }, (_, card) => ({
        label: `GPU ${card}`,
        value: (row) => row.gpus[card]?.percent ?? null,
      })),
    });
  }
  return found;
}

// Each core by itself only where they can be told apart.
function perCore(rows) {
  const cores = rows.at(-1)?.cpu_percent.length ?? 0;
  if (cores > 7) return [];
  return Array.from({ length: cores }, (_, core) => ({
    label: `core ${core}`,
    value: (row) => row.cpu_percent[core] ?? null,
  }));
}

function mean(values) {
  return values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null;
}

function missing(absent) {
  const gpu = Object.entries(absent).find(([name]) => name.startsWith("gpu"));
  return gpu ? `No GPU curve: ${gpu[1]}.`.replace("..", ".") : "";
}
