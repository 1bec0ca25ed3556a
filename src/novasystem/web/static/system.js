// Loading, unloading and cancelling; what is under way stays marked while the tables are renewed.

import { $, $$, announce, toast } from "./dom.js";
import { call } from "./fetch.js";

const now = $("#now");
const working = new Set();

const named = (button) => button.dataset.model || button.dataset.run;
const target = (button) =>
  button.dataset.model
    ? `/api/models/${button.dataset.model.split("/").map(encodeURIComponent).join("/")}/${button.dataset.do}`
    : `/api/runs/${button.dataset.run}/cancel`;

function mark() {
  for (const button of $$("[data-do]", now)) {
    const works = working.has(named(button));
    button.toggleAttribute("aria-busy", works);
    if (works) button.setAttribute("aria-busy", "true");
    button.disabled = works;
  }
}

let pressed = false;

// Nothing is taken away below a finger.
now.addEventListener("pointerdown", () => { pressed = true; });
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(() => { pressed = false; }));
now.addEventListener("htmx:beforeSwap", (event) => {
  if (pressed) event.detail.shouldSwap = false;
});

now.addEventListener("htmx:afterSwap", mark);
now.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const [name, id, did] = [named(button), button.id, button.dataset.do];
  working.add(name);
  mark();
  try {
    await call("POST", target(button));
    announce(`${name}: ${{ load: "in memory", unload: "taken out of memory", cancel: "cancelled" }[did]}.`);
  } catch (error) {
    toast(error.message, "bad", error.hint);
  } finally {
    working.delete(name);
    mark();
    document.getElementById(id)?.focus();
    htmx.trigger(now, "refresh");
    // What is cancelled takes a moment to end.
    if (did === "cancel") setTimeout(() => htmx.trigger(now, "refresh"), 1000);
  }
});
