// The answer of a run as it comes: text while it grows, and what took some of it back.

import { el } from "./dom.js";
import { connectionNotice, follow } from "./sse.js";

export const ENDED = new Set(["completed", "incomplete", "failed", "cancelled", "expired"]);

/** Whether the end of the page is in view: then it stays there while the page grows. */
export function atEnd() {
  const page = document.documentElement;
  return page.scrollHeight - innerHeight - scrollY < 120;
}

export function toEnd() {
  scrollTo({ top: document.documentElement.scrollHeight });
}

/** Text in pieces, each with its number: pieces after a number can be taken back. */
export class Growing {
  constructor(place) {
    this.node = document.createTextNode("");
    this.pieces = [];
    place.replaceChildren(this.node);
  }

  add(seq, text) {
    this.pieces.push([seq, text]);
    this.node.appendData(text);
  }

  /** Keep what came up to the number `seq`. */
  cut(seq) {
    const kept = this.pieces.filter(([number]) => number <= seq);
    if (kept.length === this.pieces.length) return;
    this.pieces = kept;
    this.node.data = kept.map(([, text]) => text).join("");
  }

  get text() {
    return this.node.data;
  }
}

/**
 * Show the run's answer in `place` until its end; onEnd(status, error) comes once.
 *
 * onEvent({type, data, seq}) sees every event of the run besides. Returns {close(), text()}.
 */
export function showRun(runId, { place, notice = null, onEvent = () => {}, onEnd }) {
  const body = el("div", { class: "stream" });
  const thinking = el("details", { class: "thinking", hidden: true }, el("summary", {}, "Thinking"), el("div", { class: "stream quiet" }));
  place.append(thinking, body);
  const answer = new Growing(body);
  const thoughts = new Growing(thinking.lastChild);
  let stored = 0;
  let begun = false;
  let over = false;

  const end = (status, error) => {
    if (over) return;
    over = true;
    handle.close();
    onEnd(status, error);
  };

  const grow = (growing, seq, text) => {
    const stay = atEnd();
    growing.add(seq, text);
    if (stay) toEnd();
  };

  const handle = follow(`/api/runs/${runId}/events`, {
    notice: notice ? connectionNotice(notice) : null,
    // Only its status says that a run has ended: one whose server was stopped goes on with the next.
    endless: true,
    onState(state) {
      // What was shown and is not stored is sent again, or was lost with the server.
      if (state === "open" && begun) for (const one of [answer, thoughts]) one.cut(stored);
      if (state === "open") begun = true;
    },
    onEvent({ id, event, data }) {
      if (id !== null) stored = Number(id);
      if (event === "committed") return;
      if (event === "rewound") {
        for (const one of [answer, thoughts]) one.cut(data.seq);
        return;
      }
      if (event === "error") return;
      const said = data.data;
      if (event === "text") grow(answer, data.seq, said.text);
      else if (event === "reasoning") {
        thinking.hidden = false;
        grow(thoughts, data.seq, said.text);
      } else if (event === "restarted") for (const one of [answer, thoughts]) one.cut(0);
      onEvent({ type: event, data: said, seq: data.seq });
      if (event === "status" && ENDED.has(said.status)) end(said.status, said.error || null);
    },
    onOver(error) {
      end(error ? "gone" : "ended", error);
    },
  });
  return { close: () => handle.close(), text: () => answer.text };
}
