// Making and changing an assistant, and trying it in a thread: all over the interface that OpenAI's
// clients use.

import { $, $$, announce, busy, el, path, showError, toast } from "./dom.js";
import { ServerError, call } from "./fetch.js";
import { awaitModels, part, settled } from "./part.js";
import { showRun } from "./streaming.js";

const place = $("#assistant");
const id = place.dataset.id;

// The form

function asked() {
  const number = (field) => (field.value.trim() === "" ? null : Number(field.value));
  let tools = [];
  const text = $("#tools").value.trim();
  if (text) {
    try {
      tools = JSON.parse(text);
    } catch (error) {
      throw new ServerError("The functions are not valid JSON.", String(error.message));
    }
  }
  // An empty choice leaves the format as it is: a schema that was given elsewhere.
  const format = $("#format").value;
  return {
    name: $("#name").value.trim() || null,
    model: $("#model").value,
    instructions: $("#instructions").value || null,
    description: $("#description").value.trim() || null,
    temperature: number($("#temperature")),
    top_p: number($("#top_p")),
    ...(format && { response_format: format === "auto" ? "auto" : { type: format } }),
    tools,
  };
}

$("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  showError($("#problem"), null);
  try {
    const made = await busy($("#keep"), () => call("POST", id ? `/v1/assistants/${id}` : "/v1/assistants", asked()));
    if (!id) {
      location.assign(path(`/assistants/${made.id}`));
      return;
    }
    $("#title").textContent = made.name || "Unnamed assistant";
    $(".talk-entry[aria-current] .talk-title").textContent = $("#title").textContent;
    toast("The changes are kept.", "good");
  } catch (error) {
    showError($("#problem"), error);
    $("#keep").focus();
  }
});

$("#delete")?.addEventListener("click", async (event) => {
  if (!confirm("Delete this assistant? Its threads and runs stay.")) return;
  try {
    await busy(event.currentTarget, () => call("DELETE", `/v1/assistants/${id}`));
    location.assign(path("/assistants"));
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});

awaitModels();

// The thread to try it in

const input = $("#message");
const send = $("#send");
const stop = $("#stop");
const messages = $("#messages");
let running = null;
let sending = false;

function look() {
  send.disabled = Boolean(running) || sending || !input.value.trim();
  stop.hidden = !running;
}

async function run(text) {
  const thread = place.dataset.thread;
  if (thread) await call("POST", `/v1/threads/${thread}/messages`, { role: "user", content: text });
  else {
    const made = await call("POST", "/v1/threads", { messages: [{ role: "user", content: text }] });
    place.dataset.thread = made.id;
    $("#where").replaceChildren("In ", el("code", {}, made.id));
    $("#anew").hidden = false;
    history.replaceState(null, "", path(`/assistants/${id}?thread=${made.id}`));
  }
  messages.append(el("article", { class: "message mine", "aria-label": "You" }, el("header", {}, el("strong", {}, "You")), el("div", { class: "stream" }, text)));
  if (input.value === text) input.value = "";
  const begun = await call("POST", `/v1/threads/${place.dataset.thread}/runs`, { assistant_id: id });
  watch(begun.id);
}

function watch(runId) {
  const body = el("div", {});
  const article = el("article", { class: "message theirs", "data-run": runId, "aria-busy": "true", "aria-label": $("#title").textContent }, el("header", {}, el("strong", {}, $("#title").textContent)), body);
  messages.append(article);
  const shown = showRun(runId, {
    place: body,
    notice: $("#connection"),
    onEvent({ type, data }) {
      if (type === "status" && data.status === "requires_action") outputs(runId, article);
      else if (type === "status") $$(".outputs", article).forEach((one) => one.remove());
    },
    async onEnd(status, error) {
      running = null;
      look();
      await settle(runId, article, status, error);
      announce(`${status === "completed" ? "The run is done." : `The run is ${status}.`} ${shown.text().slice(0, 400)}`);
      renewRuns();
    },
  });
  running = { runId };
  look();
  renewRuns();
}

/** The run waits for what its calls give: whoever tries it can say. */
async function outputs(runId, article) {
  if ($(".outputs", article)) return;
  const thread = place.dataset.thread;
  let calls;
  try {
    const one = await call("GET", `/v1/threads/${thread}/runs/${runId}`);
    calls = one.required_action?.submit_tool_outputs.tool_calls || [];
  } catch (error) {
    toast(error.message, "bad", error.hint);
    return;
  }
  if (!calls.length || $(".outputs", article)) return;
  const fields = calls.map((one) => {
    const field = el("textarea", { id: `output-${one.id}`, rows: "2" });
    return { one, field, shown: el("div", { class: "field" }, el("label", { for: `output-${one.id}` }, `Output of ${one.function.name}`), el("pre", { class: "wrapped", tabindex: "0" }, one.function.arguments), field) };
  });
  const button = el("button", { class: "primary small", type: "submit" }, "Give the outputs");
  const box = el("form", { class: "outputs stack" }, el("p", { class: "notice" }, "The run waits for the outputs of its calls."), fields.map((one) => one.shown), button);
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    const tool_outputs = fields.map(({ one, field }) => ({ tool_call_id: one.id, output: field.value }));
    try {
      await busy(button, () => call("POST", `/v1/threads/${thread}/runs/${runId}/submit_tool_outputs`, { tool_outputs }));
      box.remove();
    } catch (error) {
      toast(error.message, "bad", error.hint);
    }
  });
  article.append(box);
  fields[0].field.focus();
}

async function settle(runId, article, status, error) {
  const told = (why) => {
    article.removeAttribute("aria-busy");
    article.append(el("p", { class: "notice warning small" }, why));
  };
  const problem = await settled(`/assistants/${id}/tried/${place.dataset.thread}/${runId}`, (stored) => {
    if (stored.childElementCount) article.replaceWith(...stored.children);
    else told(error ? error.message : { cancelled: "Stopped before an answer began.", expired: "Not done within its time." }[status] || "There is no answer.");
  });
  if (problem) told(problem.message);
}

async function renewRuns() {
  try {
    $("#runs").replaceChildren(...(await part(`/assistants/${id}/runs`)).childNodes);
  } catch {
    // The next run renews it.
  }
}

if (id) {
  input.addEventListener("input", look);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!send.disabled) $("#say").requestSubmit();
  });
  $("#say").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) return;
    showError($("#try-problem"), null);
    sending = true;
    send.setAttribute("aria-busy", "true");
    look();
    try {
      await run(input.value);
    } catch (error) {
      showError($("#try-problem"), error);
    } finally {
      sending = false;
      send.removeAttribute("aria-busy");
      look();
      input.focus({ preventScroll: true });
    }
  });
  stop.addEventListener("click", () => busy(stop, () => call("POST", `/api/runs/${running.runId}/cancel`).catch((error) => {
    if (error.status !== 400) toast(error.message, "bad", error.hint);
  })));
  look();
  if (place.dataset.run) watch(place.dataset.run);
}
