// The form of a benchmark: what it asks for as the body of POST /api/benchmarks/run.

import { $, $$, el } from "./dom.js";

const NO_VALUE = new Set(["not_empty", "same"]);
const COUNTS = new Set(["sentences", "min_chars", "max_chars"]);
const KINDS = [
  ["contains", "contains"],
  ["equals", "is exactly"],
  ["regex", "matches the pattern"],
  ["not_empty", "is not empty"],
  ["same", "is the same in all repetitions"],
  ["sentences", "has so many sentences"],
  ["min_chars", "has at least so many characters"],
  ["max_chars", "has at most so many characters"],
  ["relevant", "is about the prompt, share of 0 to 1"],
  ["json_schema", "fits the JSON schema"],
];

const number = (id) => ($(id).value.trim() === "" ? null : Number($(id).value));

/** The request's body; throws an Error with a sentence where a field cannot be meant. */
export function asked(form) {
  const body = {
    prompt: $("#prompt").value,
    models: $$('input[name="models"]:checked', form).map((box) => box.value),
    mode: $('input[name="mode"]:checked', form).value,
    repetitions: number("#repetitions") ?? 1,
    warm_up: number("#warm_up") ?? 0,
    load: load(),
    checks: $$("#checks li").map(check),
    parameters: {},
  };
  for (const name of ["max_tokens", "temperature", "seed"]) {
    const value = number(`#${name}`);
    if (value !== null) body.parameters[name] = value;
  }
  const within = $("#load").value === "sweep" ? number("#objective") : null;
  if (within !== null) body.objectives = { ttft_s: within };
  return body;
}

function load() {
  const kind = $("#load").value;
  const rate = { rate_per_s: number("#rate"), requests: number("#requests") };
  switch (kind) {
    case "concurrent":
      return { kind, concurrency: number("#concurrency"), requests: number("#requests") };
    case "constant":
    case "poisson":
      return { kind, ...rate };
    case "burst":
      return { kind, size: number("#size"), every_s: number("#every"), bursts: number("#bursts") };
    case "ramp":
      return { kind, from_per_s: number("#from"), to_per_s: number("#to"), duration_s: number("#duration") };
    case "sweep":
      return { kind, step_s: number("#step") };
    default:
      return { kind: "one" };
  }
}

function check(item) {
  const kind = $("select", item).value;
  const text = $("input", item).value;
  if (NO_VALUE.has(kind)) return { kind };
  if (COUNTS.has(kind) || kind === "relevant") return { kind, value: Number(text) };
  if (kind !== "json_schema") return { kind, value: text };
  try {
    return { kind, value: JSON.parse(text) };
  } catch {
    throw new Error("The JSON schema of a check is not JSON.");
  }
}

/** Checks that come and go, and fields that stand there only with their kind of load. */
export function prepare() {
  const fields = () => {
    const kind = $("#load").value;
    for (const field of $$("[data-load]")) field.hidden = !field.dataset.load.split(" ").includes(kind);
  };
  $("#load").addEventListener("change", fields);
  fields();
  $("#add-check").addEventListener("click", () => {
    const kinds = el("select", { "aria-label": "What must be true of the answer" }, KINDS.map(([value, label]) => el("option", { value }, label)));
    const value = el("input", { "aria-label": "Value of the check", type: "text" });
    const remove = el("button", { type: "button", class: "small", "aria-label": "Remove this check" }, "Remove");
    const item = el("li", {}, kinds, value, remove);
    kinds.addEventListener("change", () => {
      value.hidden = NO_VALUE.has(kinds.value);
    });
    remove.addEventListener("click", () => {
      item.remove();
      $("#add-check").focus();
    });
    $("#checks").append(item);
    kinds.focus();
  });
}
