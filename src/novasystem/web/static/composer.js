// The form at the foot of a conversation: what is written goes out with Enter or the button, while
// nothing else does, and what is under way can be stopped.

import { $, $$, busy, showError, toast } from "./dom.js";
import { ServerError, call } from "./fetch.js";
import { toEnd } from "./streaming.js";

/**
 * `say(text)` is called with what is to be sent, `cancelling(run)` tells the path that stops a run.
 *
 * Returns {running, sending, options(), send(text, ask, begun), focus()}: `running` is set to what is
 * under way, and to null at its end.
 */
export function composer({ say, cancelling }) {
  const form = $("#say");
  const input = $("#message");
  const send = $("#send");
  const stop = $("#stop");
  const most = Number(form.dataset.most);
  let running = null;
  let sending = false;

  function look() {
    const length = [...input.value].length;
    const counter = $("#counter");
    counter.hidden = length < most * 0.8;
    counter.textContent = `${length.toLocaleString("en")} of ${most.toLocaleString("en")}`;
    counter.classList.toggle("over", length > most);
    send.disabled = Boolean(running) || sending || !input.value.trim() || length > most;
    send.hidden = Boolean(running);
    stop.hidden = !running;
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight * 0.35)}px`;
  }

  const focus = () => input.focus({ preventScroll: true });

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
  stop.addEventListener("click", () => {
    if (!running) return;
    busy(stop, () => call("POST", cancelling(running)).catch((error) => {
      // A 400: it has just ended by itself.
      if (error.status !== 400) toast(error.message, "bad", error.hint);
    }));
  });
  look();

  return {
    get running() {
      return running;
    },
    set running(run) {
      running = run;
      look();
    },
    get sending() {
      return sending;
    },
    focus,

    /** What is chosen beside the text; what is left empty is left out. */
    options() {
      const given = {};
      for (const field of $$("[data-option]", form)) {
        const text = field.value.trim();
        if (text) given[field.dataset.option] = field.type === "number" ? Number(text) : text;
      }
      return given;
    },

    /**
     * Send `text` by `ask()`, and show what came of it by `begun(answer)`. Returns whether it began;
     * what kept it from that is shown.
     */
    async send(text, ask, begun) {
      showError($("#problem"), null);
      sending = true;
      send.setAttribute("aria-busy", "true");
      look();
      try {
        const answer = await ask();
        if (input.value === text) input.value = "";
        $("#beginning")?.remove();
        begun(answer);
        toEnd();
        focus();
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
    },
  };
}
