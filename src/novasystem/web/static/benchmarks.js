// The page of benchmarks: the form, everything that goes on now, and the result that is open.

import { $, $$, bring, busy, path, showError } from "./dom.js";
import { call } from "./fetch.js";
import { asked, prepare } from "./form.js";
import { RunCard } from "./live.js";
import { listen, showResult } from "./result.js";
import { connectionNotice, follow } from "./sse.js";

const MOST_CARDS = 4;
const form = $("#bench-form");
const run = $("#run");
const live = $("#live");
const result = $("#result");
const cards = new Map();
const mine = new Set();
const over = new Set();
let running = false;

// The form

function chosen() {
  return $$('input[name="models"]:checked', form);
}

function update() {
  const most = Number(form.dataset.most);
  // The server counts characters and not halves of them.
  const length = [...$("#prompt").value].length;
  const counter = $("#counter");
  counter.textContent = `${length.toLocaleString("en")} of ${most.toLocaleString("en")} characters`;
  counter.classList.toggle("over", length > most);
  $("#prompt").setAttribute("aria-invalid", length > most ? "true" : "false");
  const count = chosen().length;
  const empty = $("#prompt").value.trim() === "";
  const ready = !empty && length <= most;
  if (!running) {
    run.disabled = !count || !ready;
    $("#run-all").disabled = !$('input[name="models"]', form) || !ready;
  }
  let hint = count === 1 ? "One model is chosen." : `${count} models are chosen.`;
  if (!count) hint = "Choose a model, or all of them.";
  if (empty) hint = "Write a prompt first.";
  if (length > most) hint = "The prompt is too long.";
  if ($("#run-hint").textContent !== hint) $("#run-hint").textContent = hint;
}

async function start(button) {
  if (running) return;
  showError($("#form-error"), null);
  running = true;
  run.disabled = true;
  try {
    const body = asked(form);
    const begun = await busy(button, () =>
      call("POST", "/api/benchmarks/run", body, { headers: { prefer: "respond-async" } }),
    );
    mine.add(begun.id);
    bring(card(begun).root, { focus: false });
  } catch (error) {
    showError($("#form-error"), error);
    bring($("#form-error"), { focus: false });
  } finally {
    running = false;
    update();
  }
}

form.addEventListener("input", update);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!run.disabled) start(run);
});
$("#run-all").addEventListener("click", () => {
  for (const box of $$('input[name="models"]', form)) box.checked = true;
  update();
  start($("#run-all"));
});
$("#prompt").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
document.addEventListener("htmx:afterSettle", update);
prepare();
update();

// What goes on

function card(benchmark) {
  let known = cards.get(benchmark.id);
  if (!known) {
    known = new RunCard(benchmark, onEnd);
    cards.set(benchmark.id, known);
    live.prepend(known.root);
    live.hidden = false;
    known.open.addEventListener("click", () => open(benchmark.id));
    const old = [...cards.values()].filter((one) => one.ended);
    while (cards.size > MOST_CARDS && old.length) {
      const gone = old.shift();
      gone.close();
      cards.delete(gone.id);
    }
  }
  return known;
}

function onEnd(ended) {
  over.add(ended.id);
  changed();
  // What somebody reads is not taken away by what somebody else has measured.
  const reads = result.childElementCount > 0 && result.dataset.chosen === "yes";
  if (mine.has(ended.id) || !reads) {
    delete result.dataset.chosen;
    showResult(result, ended.id);
  }
}

let due = null;
function changed() {
  clearTimeout(due);
  due = setTimeout(() => document.body.dispatchEvent(new CustomEvent("nova:changed")), 200);
}

let first = true;
function onEvent({ data }) {
  if (data.type === "snapshot") {
    if (!first) changed();
    first = false;
    const now = new Map(data.benchmarks.map((one) => [one.id, one]));
    for (const known of cards.values()) if (!known.ended) known.reset();
    for (const one of [...now.values()].reverse()) {
      const going = one.status === "queued" || one.status === "running";
      if (going) card(one);
      else cards.get(one.id)?.take({ type: "status", status: "completed", details: { status: one.status } });
    }
  } else if (data.benchmark_id) {
    if (over.has(data.benchmark_id)) return;
    let known = cards.get(data.benchmark_id);
    if (!known) {
      known = card({ id: data.benchmark_id, mode: data.mode ?? "" });
      learn(known);
    }
    if (data.type === "started" || data.type === "status") changed();
    known.take(data);
  }
}

/** A benchmark that was begun elsewhere: what it is about. */
async function learn(known) {
  try {
    known.about(await call("GET", `/api/benchmarks/history/${known.id}`));
  } catch {
    // Deleted meanwhile: its end comes by itself.
  }
}

follow("/api/benchmarks/stream", {
  onEvent,
  endless: true,
  notice: connectionNotice($("#connection")),
  // Refused, and so of no use to try again: a session that is over, most likely.
  onOver(error) {
    const message = `What goes on is not shown any more. ${error?.message ?? ""}`.trim();
    showError($("#connection"), { message, hint: error?.hint || "Load the page anew." });
  },
});

// One clock draws everything: what came in between is drawn once.
let drawn = 0;
function draw(now) {
  requestAnimationFrame(draw);
  if (now - drawn < 80) return;
  drawn = now;
  for (const one of cards.values()) if (!one.ended) one.draw();
}
requestAnimationFrame(draw);

// The result that is open

function open(id) {
  result.dataset.chosen = "yes";
  history.replaceState(null, "", path(`/?open=${encodeURIComponent(id)}`));
  return showResult(result, id, { scroll: true });
}

document.addEventListener("click", (event) => {
  const entry = event.target.closest("[data-entry]");
  if (!entry || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  open(entry.dataset.entry);
});
listen(result, () => {
  history.replaceState(null, "", path("/"));
  changed();
});
if (result.childElementCount) {
  result.dataset.chosen = "yes";
  bring(result);
}
