// Parts of a page that the server renders and that are put into the open page.

import { $, el, showError } from "./dom.js";
import { request } from "./fetch.js";
import { localTimes } from "./page.js";

/** What the server renders at `target`, in an element that is in no page yet. */
export async function part(target) {
  const answer = await request("GET", target);
  const made = el("div", {});
  made.innerHTML = await answer.text();
  localTimes(made);
  return made;
}

/**
 * Hand the part at `target` to `put`, as soon as a server that is away for a while renders it.
 * Returns null, or what kept it from that for good.
 */
export async function settled(target, put) {
  for (let tried = 0; ; tried += 1) {
    try {
      put(await part(target));
      return null;
    } catch (error) {
      if (tried >= 60 || (error.status !== 0 && !(error.status >= 500))) return error;
      await new Promise((done) => setTimeout(done, Math.min(5000, 500 * 2 ** tried)));
    }
  }
}

/** Fill the choice of models where engines have kept the page waiting for theirs. */
export function awaitModels() {
  const choice = $("#model");
  if (!choice.dataset.waiting) return;
  request("GET", `/chat/models/${encodeURIComponent(choice.dataset.chosen || "")}`)
    .then(async (answer) => { choice.innerHTML = await answer.text(); })
    .catch((error) => showError($("#problem"), error));
}
