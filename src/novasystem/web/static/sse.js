// Server-Sent Events, taken up again behind the last id after a lost connection.

import { announce, el } from "./dom.js";
import { asError } from "./fetch.js";
import { path } from "./dom.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
const SILENCE_MS = 60_000; // The server sends a comment into a silence of 15 s.
const HIDDEN_MS = 20_000;

/** The events of a response's body: {id, event, data}, data as text. Cuts off at its end. */
export async function* readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: null, event: "message", data: [] };
  try {
    for (;;) {
      const { value, done } = await within(reader.read(), SILENCE_MS);
      if (done) return;
      rest += value;
      // A CR at the end may be half of a CRLF.
      const whole = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
      const lines = whole.split(/\r\n|\n|\r/);
      rest = lines.pop() + rest.slice(whole.length);
      for (const line of lines) {
        if (line === "") {
          if (event.data.length) yield { ...event, data: event.data.join("\n") };
          event = { id: event.id, event: "message", data: [] };
          continue;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "data") event.data.push(text);
        else if (field === "event") event.event = text;
        else if (field === "id") event.id = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function within(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("silent for too long")), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Follow the stream at `target` until it is closed, or is over.
 *
 * onEvent({id, event, data}) gets each event, and is waited for; data is parsed where it is JSON.
 * onOver(error) comes once there is nothing more: error is null after the stream's own end, or a
 * ServerError that it is of no use to try again after (a 4xx). A lost connection is tried again,
 * later each time, with Last-Event-ID; the visible state is `notice` (see connectionNotice) where
 * one is given.
 * endless: also an ordinary end is taken up again, as a server that is stopped ends its streams;
 * whoever follows closes it, or a 204 does.
 * A page that nobody sees lets go of its connection: browsers have few of them.
 *
 * Returns {close()}.
 */
export function follow(target, { onEvent, onOver = () => {}, onState = () => {}, notice = null, endless = false }) {
  let closed = false;
  let control = null;
  let last = null;
  let failures = 0;
  let timer = null;
  let hidden = null;
  let sleeping = false;

  const state = (name) => {
    if (notice) notice.show(name);
    onState(name);
  };

  async function connect() {
    if (closed || sleeping) return;
    control = new AbortController();
    const own = control;
    const headers = { accept: "text/event-stream" };
    if (last !== null) headers["last-event-id"] = last;
    try {
      const response = await fetch(path(target), { headers, signal: own.signal, cache: "no-store" });
      if (response.status === 204) return over(null);
      if (!response.ok) {
        const error = await asError(response);
        if (response.status < 500 && response.status !== 429 && response.status !== 408) return over(error);
        throw error;
      }
      failures = 0;
      state("open");
      for await (const event of readEvents(response)) {
        if (closed || own !== control) return;
        if (event.id !== null) last = event.id;
        await onEvent({ ...event, data: parsed(event.data) });
      }
      if (closed || own !== control) return;
      if (!endless) return over(null);
    } catch {
      if (closed || own !== control) return;
    }
    control.abort();
    failures += 1;
    state("lost");
    timer = setTimeout(connect, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)));
  }

  function over(error) {
    close();
    onOver(error);
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    clearTimeout(hidden);
    document.removeEventListener("visibilitychange", onVisibility);
    control?.abort();
    state("closed");
  }

  function onVisibility() {
    clearTimeout(hidden);
    if (document.hidden) {
      hidden = setTimeout(() => {
        sleeping = true;
        clearTimeout(timer);
        const own = control;
        control = null;
        own?.abort();
      }, HIDDEN_MS);
    } else if (sleeping) {
      sleeping = false;
      connect();
    }
  }

  document.addEventListener("visibilitychange", onVisibility);
  connect();
  return { close };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A line in `place` that says when the connection is lost, and when it is back. */
export function connectionNotice(place) {
  let lost = false;
  return {
    show(state) {
      if (state === "lost" && !lost) {
        lost = true;
        place.hidden = false;
        place.replaceChildren(
          el("p", { class: "notice warning connection" }, "The connection is lost; trying again. What has been shown stays."),
        );
        announce("The connection is lost; trying again.", { now: true });
      } else if (state !== "lost" && lost) {
        lost = false;
        place.hidden = true;
        place.replaceChildren();
        if (state === "open") announce("The connection is back.");
      }
    },
  };
}
