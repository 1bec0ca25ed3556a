// One benchmark that goes on: a column a model, its figures counting, the machine's curves.

import { Curves } from "./curves.js";
import { announce, busy, el, seconds, three, toast } from "./dom.js";
import { call } from "./fetch.js";

const STATUSES = {
  waiting: ["waiting", ""],
  starting: ["starting", "accent working"],
  first_token: ["first token", "accent working"],
  generating: ["generating", "accent working"],
  done: ["done", "good"],
  failed: ["failed", "bad"],
  stopped: ["stopped", "warning"],
};
const ENDED = { completed: "completed", failed: "failed", cancelled: "cancelled", expired: "failed", incomplete: "failed" };
const MOST_CHARS = 20_000;

/** One model's column. Its numbers stand in boxes of fixed size: nothing moves while they count. */
class Column {
  constructor(model, number) {
    this.model = model;
    this.status = el("span", { class: "badge" }, "waiting");
    this.ttft = el("dd", {}, "-");
    this.pace = el("dd", {}, "-");
    this.count = el("dd", {}, "-");
    this.said = el("div", { class: "stream said", tabindex: "0", role: "group", "aria-label": `Answer of ${model}` });
    this.note = el("p", { class: "quiet small note" }, " ");
    this.root = el(
      "section",
      { class: "column", "aria-label": model },
      el("header", { class: "row apart" }, el("h3", { class: "wrap-anywhere" }, el("i", { class: `swatch b${number % 8}` }), model), this.status),
      el(
        "dl",
        { class: "counts" },
        el("div", {}, el("dt", { title: "Time to first token" }, "TTFT"), this.ttft),
        el("div", {}, el("dt", {}, "Tokens/s"), this.pace),
        el("div", {}, el("dt", {}, "Requests"), this.count),
      ),
      this.said,
      this.note,
    );
    this.text = "";
    this.shown = "";
    this.fresh = true;
    this.waitingSince = null;
    this.figures = {};
    this.state = "waiting";
  }

  take(event) {
    switch (event.type) {
      case "model":
        this.state = event.status;
        this.waitingSince = event.status === "starting" ? performance.now() : null;
        if (event.error) this.note.textContent = `${event.error.message} ${event.error.hint ?? ""}`;
        break;
      case "request":
        // What was said last stays until something takes its place.
        this.fresh = true;
        this.waitingSince = performance.now();
        break;
      case "token":
        this.text = ((this.fresh ? "" : this.text) + event.text).slice(-MOST_CHARS);
        this.fresh = false;
        this.waitingSince = null;
        this.figures.ttft = event.ttft_s;
        if (event.chunks_per_s !== null) this.figures.pace = event.chunks_per_s;
        break;
      case "sample":
        if (event.ttft_s !== null) this.figures.ttft = event.ttft_s;
        if (event.output_tokens_per_s !== null) this.figures.pace = event.output_tokens_per_s;
        if (event.error) this.note.textContent = event.error.message;
        break;
      case "progress":
        this.figures.done = event.done;
        this.figures.total = event.total;
        this.figures.failed = event.failed;
        this.figures.left = event.left_s;
        break;
    }
  }

  draw() {
    const [word, kind] = STATUSES[this.state] ?? [this.state, ""];
    write(this.status, word);
    this.status.className = `badge ${kind}`;
    const { ttft, pace, done, total, failed } = this.figures;
    const waited = this.waitingSince === null ? null : (performance.now() - this.waitingSince) / 1000;
    write(this.ttft, waited !== null && waited > 0.3 ? `${waited.toFixed(1)} s …` : seconds(ttft));
    write(this.pace, three(pace));
    write(this.count, done === undefined ? "-" : `${done}${total ? ` of ${total}` : ""}${failed ? `, ${failed} failed` : ""}`);
    if (this.shown !== this.text) {
      const box = this.said;
      const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
      if (this.text.startsWith(this.shown) && this.shown) box.append(this.text.slice(this.shown.length));
      else box.textContent = this.text;
      this.shown = this.text;
      if (follows) box.scrollTop = box.scrollHeight;
    }
  }
}

/** `onEnd(card)` comes once it is over. */
export class RunCard {
  constructor(benchmark, onEnd) {
    this.id = benchmark.id;
    this.onEnd = onEnd;
    this.ended = false;
    this.anew = false;
    this.columns = new Map();
    this.elapsed = 0;
    this.elapsedAt = null;
    this.title = el("strong", { class: "live-title" });
    this.status = el("span", { class: "badge accent" }, "waiting");
    this.mode = el("span", { class: "badge accent" }, benchmark.mode);
    this.clock = el("span", { class: "number quiet" }, "");
    this.left = el("span", { class: "number quiet" }, "");
    this.bar = el("progress", { "aria-label": "Progress" });
    this.cancel = el("button", { type: "button", class: "danger small" }, "Cancel");
    this.cancel.addEventListener("click", () => this.stop());
    this.open = el("button", { type: "button", class: "small", hidden: true }, "Show the result");
    this.grid = el("div", { class: "columns-live" });
    this.curves = new Curves(`curves-${benchmark.id}`);
    this.root = el(
      "article",
      { class: "card live stack", "data-run": benchmark.id },
      el(
        "header",
        { class: "row apart" },
        el("div", { class: "row" }, this.status, this.mode, this.title),
        el("div", { class: "row" }, this.clock, this.left, this.open, this.cancel),
      ),
      this.bar,
      this.grid,
      this.curves.place,
    );
    this.about(benchmark);
  }

  /** What it is: its prompt, mode and models. */
  about(benchmark) {
    const title = benchmark.plan?.name ?? benchmark.prompt ?? benchmark.id;
    this.title.textContent = title.slice(0, 120);
    this.root.setAttribute("aria-label", `Benchmark: ${title.slice(0, 80)}`);
    if (benchmark.mode) write(this.mode, benchmark.mode);
    for (const model of benchmark.plan?.models ?? []) this.column(model);
    for (const result of benchmark.results ?? []) this.column(result.model);
  }

  column(model) {
    let known = this.columns.get(model);
    if (!known) {
      known = new Column(model, this.columns.size);
      this.columns.set(model, known);
      this.grid.append(known.root);
    }
    return known;
  }

  /** The whole story is about to be told again: what is shown stays until then. */
  reset() {
    this.anew = true;
    for (const column of this.columns.values()) column.fresh = true;
  }

  take(event) {
    if (this.ended) return;
    if (this.anew) {
      this.anew = false;
      this.curves.times.length = 0;
      this.curves.rows.length = 0;
      this.elapsed = 0;
    }
    if (event.elapsed_s !== undefined && event.elapsed_s >= this.elapsed) {
      this.elapsed = event.elapsed_s;
      this.elapsedAt = performance.now();
    }
    if (event.type === "started") {
      this.say("running", "accent working");
      write(this.mode, event.mode);
      event.models.forEach((model) => this.column(model));
      announce(`The benchmark runs: ${event.models.join(", ")}.`);
    } else if (event.type === "machine") this.curves.add(event);
    else if (event.type === "status") {
      const word = ENDED[event.status];
      if (word) this.end(event);
      else if (event.status === "queued") this.say("waiting", "accent");
      else if (event.status === "cancelling") this.say("stopping", "warning");
    } else if (event.model) {
      this.column(event.model).take(event);
      if (event.type === "model" && (event.status === "done" || event.status === "failed")) {
        announce(`${event.model}: ${event.status}.`);
      }
    }
  }

  say(word, kind) {
    write(this.status, word);
    this.status.className = `badge ${kind}`;
  }

  end(event) {
    this.ended = true;
    const status = event.details?.status ?? ENDED[event.status] ?? "completed";
    this.say(status === "partial" ? "in part" : status, { completed: "good", failed: "bad" }[status] ?? "warning");
    this.cancel.remove();
    this.open.hidden = false;
    this.root.classList.remove("live");
    this.left.textContent = "";
    for (const column of this.columns.values()) {
      column.waitingSince = null;
      if (column.state !== "done" && column.state !== "failed") column.state = status === "completed" ? "done" : "stopped";
    }
    this.draw();
    this.bar.hidden = true;
    announce(status === "completed" ? "The benchmark is done." : `The benchmark has ended: ${status}.`);
    this.onEnd(this);
  }

  async stop() {
    try {
      await busy(this.cancel, () => call("POST", `/api/benchmarks/${this.id}/cancel`));
      // Its end may have come before the answer.
      if (this.ended) return;
      this.say("stopping", "warning");
      this.cancel.disabled = true;
    } catch (error) {
      // A 400: it has just ended by itself.
      if (error.status !== 400) toast(error.message, "bad", error.hint);
    }
  }

  draw() {
    for (const column of this.columns.values()) column.draw();
    this.curves.draw();
    const since = this.elapsedAt === null || this.ended ? 0 : (performance.now() - this.elapsedAt) / 1000;
    if (this.elapsedAt !== null) write(this.clock, `${(this.elapsed + since).toFixed(1)} s`);
    const all = [...this.columns.values()].map((column) => column.figures);
    const done = all.reduce((sum, one) => sum + (one.done ?? 0), 0);
    // Each model's total; one that has not begun has as many as the others.
    const most = Math.max(0, ...all.map((one) => one.total ?? 0)) * all.length;
    if (most) {
      this.bar.max = most;
      this.bar.value = done;
    }
    if (this.ended) return;
    const left = Math.max(0, ...all.map((one) => one.left ?? 0));
    write(this.left, left > 0 ? `about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left` : "");
  }

  close() {
    this.curves.close();
    this.root.remove();
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
