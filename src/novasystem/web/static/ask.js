// Asking: a question goes out, and what the agents do is watched as it happens. The ask goes on by
// itself; whoever comes back, or lost the connection, is told all of it again.

import { $, $$, announce, el, seconds } from "./dom.js";
import { ServerError, call, request } from "./fetch.js";
import { composer } from "./composer.js";
import { conversation } from "./conversation.js";
import { awaitModels, settled } from "./part.js";
import { connectionNotice, follow, readEvents } from "./sse.js";
import { ENDED, atEnd, toEnd } from "./streaming.js";

const ANSWERING = new Set(["close", "single"]);
const talk = $("#talk");
const asks = $("#asks");
const composing = composer({ say, cancelling: ({ runId }) => `/api/nova/asks/${runId}/cancel` });
const session = conversation({
  page: "/ask",
  stored: (id) => `/api/nova/sessions/${id}`,
  question: "Delete this session with all that was said in it?",
});

function say(prompt) {
  const body = { prompt, mode: $("#mode").value, model: $("#model").value || null, stream: true, parameters: composing.options() };
  if (session.id) body.session_id = session.id;
  composing.send(prompt, () => begin(body), (begun) => {
    session.entered(begun.session_id, prompt);
    watch(begun.run_id, prompt);
  });
}

/** Ask, and leave as soon as it has begun: it goes on, and is watched as any other is. */
async function begin(body) {
  const control = new AbortController();
  const response = await request("POST", "/api/nova/ask", body, { headers: { accept: "text/event-stream" }, signal: control.signal });
  for await (const { event, data } of readEvents(response)) {
    const said = JSON.parse(data);
    if (event === "error") throw new ServerError(said.message, "", 500, said.code);
    if (event !== "begun") continue;
    control.abort();
    return said;
  }
  throw new ServerError("The server broke off before the ask began.", "Try again.");
}

/** The steps of an ask while they happen: one place for each, those of a plan below their planner. */
class Tree {
  constructor(place, answer) {
    this.place = place;
    this.answer = answer;
    this.clear();
  }

  clear() {
    this.steps = new Map();
    this.planners = new Map();
    this.place.replaceChildren();
    this.answer.textContent = "";
  }

  begin(step) {
    const title = step.number ? `${step.number}. ${step.title}` : step.title || step.purpose;
    const state = el("span", { class: "badge accent working" }, "at work");
    const told = el("span", { class: "hint numbers" }, step.depends_on?.length ? `after step ${step.depends_on.join(", ")}` : "");
    const text = el("div", { class: "stream" });
    const tools = el("div", {});
    const details = el("details", { class: "step", open: true },
      el("summary", {}, el("span", { class: "tree-head" }, el("span", { class: "badge accent" }, step.agent), " ", el("span", {}, title), " ", state, " ", told)),
      el("div", { class: "step-body" }, tools, text));
    const item = el("li", { "data-step": step.step_id }, details);
    const known = { item, state, told, text, tools, round: step.round };
    if (step.agent === "planner") this.planners.set(step.round, item);
    const planner = step.number ? this.planners.get(step.round) : null;
    const where = planner ? $("ul", planner) || planner.appendChild(el("ul", {})) : this.place;
    this.steps.get(step.step_id)?.item.remove();
    where.append(item);
    this.steps.set(step.step_id, known);
    if (step.text) this.token(step.step_id, step.text);
    for (const tool of step.tools || []) this.tool(step.step_id, tool);
    return known;
  }

  token(id, text) {
    const known = this.steps.get(id);
    (ANSWERING.has(id) ? this.answer : known?.text)?.append(text);
  }

  tool(id, tool) {
    const came = tool.error === undefined || tool.error === null ? tool.output : tool.error.message || tool.error;
    const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
    this.steps.get(id)?.tools.append(
      el("div", { class: "tool" }, el("strong", {}, tool.name), " ", el("span", { class: "hint numbers" }, seconds(tool.seconds)),
        el("pre", { class: "wrapped", tabindex: "0" }, shown(tool.arguments)), el("pre", { class: "wrapped", tabindex: "0" }, shown(came))));
  }

  plan(round, steps) {
    const planner = this.planners.get(round);
    if (planner) $(".step-body .stream", planner).replaceChildren(el("ol", { class: "plan" }, steps.map((step) => el("li", {}, step.title))));
  }

  done(entry) {
    const known = this.steps.get(entry.step_id) || this.begin(entry);
    const words = { completed: ["done", "good"], incomplete: ["cut off", "warning"], failed: ["failed", "bad"], cancelled: ["stopped", "warning"], skipped: ["skipped", ""] };
    const [word, kind] = words[entry.status] || [entry.status, ""];
    known.state.textContent = word;
    known.state.className = `badge ${kind}`;
    const parts = [seconds(entry.seconds)];
    if (entry.tokens !== null && entry.tokens !== undefined) parts.push(`${entry.tokens.toLocaleString("en")} tokens`);
    if (entry.depends_on?.length) parts.push(`after step ${entry.depends_on.join(", ")}`);
    known.told.textContent = parts.join(" · ");
    if (entry.recalled?.length) known.tools.replaceChildren(el("p", { class: "hint" }, "Remembered for it:"), el("ul", {}, entry.recalled.map((one) => el("li", { class: "wrap-anywhere" }, one.text))));
    if (entry.data && typeof entry.data.ok === "boolean") known.text.textContent = `${entry.data.ok ? "Accepted" : "Sent back"}: ${entry.data.reason || ""}`;
    else if (Array.isArray(entry.data?.steps)) this.plan(entry.round, entry.data.steps.map((step) => (typeof step === "string" ? { title: step } : step)));
    else if (!ANSWERING.has(entry.step_id)) known.text.textContent = entry.text || "";
    else this.answer.textContent = entry.text || "";
    if (entry.error) known.text.after(el("p", { class: "notice bad small" }, entry.error.message));
  }
}

function watch(runId, question) {
  const tree = el("ul", { class: "tree" });
  const answer = el("div", { class: "stream" });
  const state = el("span", { class: "hint numbers" }, "The team is at work …");
  const article = el("article", { class: "ask", "data-run": runId, "aria-busy": "true", "aria-label": question.slice(0, 80) },
    el("div", { class: "message mine" }, el("header", {}, el("strong", {}, "You")), el("div", { class: "stream" }, question)),
    el("section", { class: "steps", "aria-label": "Steps" }, el("h2", {}, "Steps"), tree),
    el("section", { class: "message theirs", "aria-label": "Answer" }, el("header", {}, el("strong", {}, "Nova")), answer, el("footer", { class: "row" }, state)));
  asks.append(article);
  const steps = new Tree(tree, answer);
  const since = performance.now();
  const ticking = setInterval(() => { state.textContent = `At work for ${Math.floor((performance.now() - since) / 1000)} s`; }, 1000);
  let failed = null;
  const on = {
    begun: () => steps.clear(),
    step_begun: (data) => { steps.begin(data); announce(`${data.agent}: ${data.title || data.purpose}`); },
    token: (data) => steps.token(data.step_id, data.text),
    tool: (data) => steps.tool(data.step_id, data),
    plan: (data) => steps.plan(data.round, data.steps),
    step_done: (data) => steps.done(data.entry),
    replace(data) {
      steps.clear();
      const plans = new Map((data.plans || []).map((plan) => [plan.round, plan.steps]));
      const titles = (entry) => ({ ...entry, title: entry.title ?? plans.get(entry.round)?.find((step) => step.number === entry.number)?.title });
      for (const entry of data.entries || []) steps.done(titles(entry));
      for (const open of data.open || []) steps.begin(open);
    },
  };
  const handle = follow(`/api/nova/asks/${runId}/events`, {
    notice: connectionNotice($("#connection")),
    endless: true,
    async onEvent({ event, data }) {
      const stay = atEnd();
      on[event]?.(data);
      if (stay) toEnd();
      if (event === "done") end(`The answer is there. ${data.text.slice(0, 400)}`);
      if (event === "error" && (await hasEnded(runId))) {
        failed = data;
        end(`The ask failed. ${data.message}`);
      }
    },
    onOver(error) {
      failed = error || failed;
      end(error ? error.message : "It is over.");
    },
  });
  let over = false;
  async function end(told) {
    if (over) return;
    over = true;
    handle.close();
    clearInterval(ticking);
    composing.running = null;
    await settle(runId, article, failed);
    announce(told);
    session.refresh();
  }
  composing.running = { runId };
}

/** Whether the ask itself is over. A server that is stopped ends its streams with an error too. */
async function hasEnded(runId) {
  try {
    const { status } = await call("GET", `/api/nova/asks/${runId}`, undefined, { signal: AbortSignal.timeout(5000) });
    return ENDED.has(status);
  } catch {
    // The stream is taken up again, and tells.
    return false;
  }
}

/** Put what is stored in the place of what was shown; steps that were open stay open. */
async function settle(runId, article, failed) {
  const problem = await settled(`/ask/${session.id}/turn/${runId}`, (stored) => {
    const open = $$("details.step", article).map((one) => one.open);
    const next = $("article", stored);
    $$("details.step", next).forEach((one, number) => { one.open = open[number] ?? false; });
    const stay = atEnd();
    article.replaceWith(next);
    if (stay) toEnd();
  });
  if (!problem) return;
  article.removeAttribute("aria-busy");
  article.append(el("p", { class: "notice warning small" }, (failed || problem).message));
}

awaitModels();
if (session.id) toEnd();
if (talk.dataset.run) watch(talk.dataset.run, talk.dataset.question);
else if (!matchMedia("(max-width: 46rem)").matches) composing.focus();
