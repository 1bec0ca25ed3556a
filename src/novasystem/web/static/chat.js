// Chat: what is written goes out as a turn that goes on by itself, and its answer is watched as a
// run, so that neither a lost connection nor a closed window costs any of it.

import { $, $$, announce, bring, busy, el, seconds, toast } from "./dom.js";
import { call } from "./fetch.js";
import { composer } from "./composer.js";
import { conversation } from "./conversation.js";
import { awaitModels, part, settled } from "./part.js";
import { showRun, toEnd } from "./streaming.js";

const talk = $("#talk");
const messages = $("#messages");
// What is under way: {runId, close}.
const composing = composer({ say, cancelling: ({ runId }) => `/api/runs/${runId}/cancel` });
const here = conversation({
  page: "/chat",
  stored: (id) => `/api/conversations/${id}`,
  question: "Delete this conversation with all that was said in it?",
  leave: () => composing.running?.close(),
});

// A turn

/**
 * Say `text`; with `instead`, a message of one's own, that and all after it make room for it.
 * Returns whether the turn began; what kept it from that is shown.
 */
async function say(text, instead = null) {
  if (composing.running || composing.sending) return false;
  if (!$("#say").reportValidity()) return false;
  const body = { message: text, model: $("#model").value || null, ...composing.options() };
  if (here.id) body.conversation_id = here.id;
  if (instead) body.instead_of = instead.dataset.id;
  const ask = () => call("POST", "/api/v1/chat", body, { headers: { prefer: "respond-async" } });
  return composing.send(text, ask, (begun) => {
    if (instead) while (instead.nextElementSibling) instead.nextElementSibling.remove();
    instead?.remove();
    const mine = bubble("mine", "You", begun.run_id);
    mine.body.append(el("div", { class: "stream" }, text));
    messages.append(mine.article);
    const first = !here.id;
    here.entered(begun.conversation_id, text);
    if (first) $("#name").placeholder = $("#title").textContent;
    watch(begun.run_id, $("#model").value);
  });
}

function bubble(kind, who, runId) {
  const body = el("div", {});
  const foot = el("footer", { class: "row" });
  const article = el("article", { class: `message ${kind}`, "data-run": runId, "aria-label": who }, el("header", {}, el("strong", {}, who)), body, foot);
  return { article, body, foot };
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
      composing.running = null;
      await settle(runId, theirs.article, error);
      const told = { cancelled: "Stopped.", failed: "The answer failed." }[status] || "The answer is there.";
      announce(`${told} ${shown.text().slice(0, 400)}`);
      here.refresh();
    },
  });
  composing.running = { runId, close: shown.close };
}

/** Put what is stored of the turn in the place of what was shown while it came. */
async function settle(runId, article, error) {
  const problem = await settled(`/chat/${here.id}/turn/${runId}`, (stored) => {
    const before = $$(`[data-run="${runId}"]`, messages);
    before[0].before(...stored.children);
    for (const one of before) one.remove();
  });
  if (!problem) return;
  article.removeAttribute("aria-busy");
  article.append(el("p", { class: "notice warning small" }, (error || problem).message, " ", (error || problem).hint || "Load the page anew."));
}

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
  if (!mine || composing.running) return;
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
  if (composing.running || $(".editing", messages)) return;
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
    if (event.key === "Escape" && !composing.sending) leave();
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
    const named = await call("PATCH", `/api/conversations/${here.id}`, { title: $("#name").value });
    here.name(named.title);
    showNaming(false);
    here.refresh();
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});
$("#earlier")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  try {
    const further = await busy(button, () => part(`/chat/${here.id}/earlier?before=${button.dataset.before}`));
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

awaitModels();
if (here.id) toEnd();
if (talk.dataset.run) watch(talk.dataset.run, $("#model").value);
else if (!matchMedia("(max-width: 46rem)").matches) composing.focus();
