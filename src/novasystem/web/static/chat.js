// Chat: what is written goes out as a turn that goes on by itself, and its answer is watched as a
// run, so that neither a lost connection nor a closed window costs any of it.

import { $, $$, announce, bring, busy, el, path, seconds, showError, toast } from "./dom.js";
import { ServerError, call, request } from "./fetch.js";
import { localTimes } from "./page.js";
import { showRun, toEnd } from "./streaming.js";

const talk = $("#talk");
const messages = $("#messages");
const form = $("#say");
const input = $("#message");
const send = $("#send");
const stop = $("#stop");
const most = Number(form.dataset.most);
let running = null; // {runId, close}
let sending = false;

// What is written

function look() {
  const length = [...input.value].length;
  const counter = $("#counter");
  counter.hidden = length < most * 0.8;
  counter.textContent = `${length.toLocaleString("en")} of ${most.toLocaleString("en")}`;
  counter.classList.toggle("over", length > most);
  send.disabled = Boolean(running) || sending || !input.value.trim() || length > most;
  stop.hidden = !running;
  send.hidden = Boolean(running);
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight * 0.35)}px`;
}

function options() {
  const given = {};
  for (const field of $$("[data-option]", form)) {
    const text = field.value.trim();
    if (text) given[field.dataset.option] = field.type === "number" ? Number(text) : text;
  }
  return given;
}

input.addEventListener("input", look);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!send.disabled) form.requestSubmit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!send.disabled) say(input.value);
});

// A turn

/**
 * Say `text`; with `instead`, a message of one's own, that and all after it make room for it.
 * Returns whether the turn began; what kept it from that is shown.
 */
async function say(text, instead = null) {
  if (running || sending) return false;
  if (!form.reportValidity()) return false;
  showError($("#problem"), null);
  const body = { message: text, model: $("#model").value || null, ...options() };
  if (talk.dataset.id) body.conversation_id = talk.dataset.id;
  if (instead) body.instead_of = instead.dataset.id;
  sending = true;
  send.setAttribute("aria-busy", "true");
  look();
  try {
    const begun = await call("POST", "/api/v1/chat", body, { headers: { prefer: "respond-async" } });
    if (instead) while (instead.nextElementSibling) instead.nextElementSibling.remove();
    instead?.remove();
    if (input.value === text) input.value = "";
    $("#beginning")?.remove();
    const mine = bubble("mine", "You", begun.run_id);
    mine.body.append(el("div", { class: "stream" }, text));
    messages.append(mine.article);
    entered(begun.conversation_id, text);
    watch(begun.run_id, $("#model").value);
    toEnd();
    input.focus({ preventScroll: true });
    return true;
  } catch (error) {
    showError($("#problem"), error instanceof ServerError ? error : new ServerError(String(error)));
    input.focus();
    return false;
  } finally {
    sending = false;
    send.removeAttribute("aria-busy");
    look();
  }
}

function bubble(kind, who, runId) {
  const body = el("div", {});
  const foot = el("footer", { class: "row" });
  const article = el("article", { class: `message ${kind}`, "data-run": runId, "aria-label": who }, el("header", {}, el("strong", {}, who)), body, foot);
  return { article, body, foot };
}

/** The conversation has begun, or gone on: its address, its place in the list. */
function entered(id, text) {
  if (!talk.dataset.id) {
    talk.dataset.id = id;
    $("#manage").hidden = false;
    const title = text.replace(/\s+/g, " ").trim();
    $("#title").textContent = title.length > 80 ? `${title.slice(0, 79)}…` : title;
    $("#name").placeholder = $("#title").textContent;
    document.title = `${$("#title").textContent} · NovaSystem`;
    history.replaceState(null, "", path(`/chat/${id}`));
  }
  refreshList();
}

async function refreshList() {
  try {
    const answer = await request("GET", `/chat/list?here=${talk.dataset.id}`);
    $("#entries").innerHTML = await answer.text();
    localTimes($("#entries"));
  } catch {
    // The list stays as it is; the next turn tries again.
  }
}

/** Show the answer of a run as it comes, and then as it is stored. */
function watch(runId, model) {
  const theirs = bubble("theirs", model || "Model", runId);
  const state = el("span", { class: "hint numbers" }, "Waiting for the first token …");
  theirs.foot.append(state);
  theirs.article.setAttribute("aria-busy", "true");
  messages.append(theirs.article);
  const since = performance.now();
  let first = null;
  const ticking = setInterval(() => {
    const now = (performance.now() - since) / 1000;
    state.textContent = first === null ? `Waiting for the first token … ${Math.floor(now)} s` : `First after ${seconds(first)} · answering for ${Math.floor(now)} s`;
  }, 1000);
  const shown = showRun(runId, {
    place: theirs.body,
    notice: $("#connection"),
    onEvent({ type }) {
      if (type === "text" && first === null) {
        first = (performance.now() - since) / 1000;
        state.textContent = `First after ${seconds(first)}`;
      }
    },
    async onEnd(status, error) {
      clearInterval(ticking);
      running = null;
      look();
      await settle(runId, theirs.article, error);
      const told = { cancelled: "Stopped.", failed: "The answer failed." }[status] || "The answer is there.";
      announce(`${told} ${shown.text().slice(0, 400)}`);
      refreshList();
    },
  });
  running = { runId, close: shown.close };
  look();
}

/** Put what is stored of the turn in the place of what was shown while it came. */
async function settle(runId, article, error) {
  for (let tried = 0; ; tried += 1) {
    try {
      const answer = await request("GET", `/chat/${talk.dataset.id}/turn/${runId}`);
      const stored = el("div", {});
      stored.innerHTML = await answer.text();
      localTimes(stored);
      const before = $$(`[data-run="${runId}"]`, messages);
      before[0].before(...stored.children);
      for (const one of before) one.remove();
      return;
    } catch (failed) {
      if (tried < 60 && (failed.status === 0 || failed.status >= 500)) {
        await new Promise((done) => setTimeout(done, Math.min(5000, 500 * 2 ** tried)));
        continue;
      }
      article.removeAttribute("aria-busy");
      article.append(el("p", { class: "notice warning small" }, (error || failed).message, " ", (error || failed).hint || "Load the page anew."));
      return;
    }
  }
}

stop.addEventListener("click", () => {
  if (!running) return;
  busy(stop, () => call("POST", `/api/runs/${running.runId}/cancel`).catch((error) => {
    // A 400: it has just ended by itself.
    if (error.status !== 400) toast(error.message, "bad", error.hint);
  }));
});

// What can be done with a message

messages.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const article = button.closest("article");
  ({ edit, retry, copy })[button.dataset.do](article, button);
});

const textOf = (article) => {
  const place = $("[data-text]", article);
  return place.value ?? place.textContent;
};

function retry(article) {
  let mine = article;
  while (mine && !mine.classList.contains("mine")) mine = mine.previousElementSibling;
  if (!mine || running) return;
  const last = mine === $$(".mine", messages).at(-1);
  if (last || confirm("Ask again? What came after this answer makes room for the new one.")) say(textOf(mine), mine);
}

async function copy(article, button) {
  try {
    await navigator.clipboard.writeText(textOf(article));
    button.textContent = "Copied";
    announce("Copied.");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  } catch {
    toast("The browser does not let the text be copied.", "bad", "Mark it and copy it by hand.");
  }
}

function edit(article, button) {
  if (running || $(".editing", messages)) return;
  const area = el("textarea", { "aria-label": "Your message, to be changed", rows: "3" });
  area.value = textOf(article);
  const leave = () => {
    box.remove();
    for (const child of article.children) child.hidden = false;
    button.focus();
  };
  const box = el("form", { class: "editing stack" },
    area,
    el("p", { class: "hint" }, "What came after this message makes room for the new answer."),
    el("div", { class: "row" }, el("button", { class: "primary small", type: "submit" }, "Send"), el("button", { class: "quiet small", type: "button", onclick: leave }, "Cancel")));
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    // The message goes with its box; what cannot be sent stays in it.
    if (area.value.trim() && !(await say(area.value, article))) area.focus();
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !sending) leave();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      box.requestSubmit();
    }
  });
  for (const child of article.children) child.hidden = true;
  article.append(box);
  area.focus();
}

// The conversation as a whole

const naming = $("#naming");
function showNaming(open) {
  naming.hidden = !open;
  $("#rename").setAttribute("aria-expanded", String(open));
  if (open) $("#name").focus();
  else $("#rename").focus();
}
$("#rename").addEventListener("click", () => showNaming(naming.hidden));
$("#unname").addEventListener("click", () => showNaming(false));
naming.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const named = await call("PATCH", `/api/conversations/${talk.dataset.id}`, { title: $("#name").value });
    $("#title").textContent = named.title;
    document.title = `${named.title} · NovaSystem`;
    showNaming(false);
    refreshList();
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});
$("#delete").addEventListener("click", async (event) => {
  if (!confirm("Delete this conversation with all that was said in it?")) return;
  try {
    await busy(event.currentTarget, () => call("DELETE", `/api/conversations/${talk.dataset.id}`));
    running?.close();
    location.assign(path("/chat"));
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});
$("#entries").addEventListener("click", async (event) => {
  const more = event.target.closest("#more");
  if (!more) return;
  try {
    const answer = await busy(more, () => request("GET", `/chat/list?after=${more.dataset.after}&here=${talk.dataset.id}`));
    const further = el("div", {});
    further.innerHTML = await answer.text();
    localTimes(further);
    const next = further.firstElementChild;
    more.replaceWith(...further.children);
    next?.focus();
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});
$("#earlier")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  try {
    const answer = await busy(button, () => request("GET", `/chat/${talk.dataset.id}/earlier?before=${button.dataset.before}`));
    const further = el("div", {});
    further.innerHTML = await answer.text();
    localTimes(further);
    const first = further.firstElementChild;
    const height = document.documentElement.scrollHeight;
    messages.prepend(...further.children);
    scrollBy(0, document.documentElement.scrollHeight - height);
    button.remove();
    if (first) bring(first);
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});

// Engines may have kept the page waiting for their models.
if ($("#model").dataset.waiting) {
  request("GET", `/chat/models/${encodeURIComponent($("#model").dataset.chosen || "")}`)
    .then(async (answer) => { $("#model").innerHTML = await answer.text(); })
    .catch((error) => showError($("#problem"), error));
}
look();
if (talk.dataset.id) toEnd();
if (talk.dataset.run) watch(talk.dataset.run, $("#model").value);
else if (!matchMedia("(max-width: 46rem)").matches) input.focus({ preventScroll: true });
