// A conversation as a whole: its title and address, its place in the list at the left, its end.

import { $, busy, path, toast } from "./dom.js";
import { call } from "./fetch.js";
import { part } from "./part.js";

/**
 * `page`: the path of the pages, `stored(id)`: where one is deleted, after `question`; `leave()` is
 * called before the page is left for that.
 *
 * Returns {id, entered(id, text), name(title), refresh()}.
 */
export function conversation({ page, stored, question, leave = () => {} }) {
  const talk = $("#talk");
  const entries = $("#entries");

  async function refresh() {
    try {
      entries.replaceChildren(...(await part(`${page}/list?here=${talk.dataset.id}`)).childNodes);
    } catch {
      // The list stays as it is; the next turn tries again.
    }
  }

  function name(title) {
    $("#title").textContent = title;
    document.title = `${title} · NovaSystem`;
  }

  entries.addEventListener("click", async (event) => {
    const more = event.target.closest("#more");
    if (!more) return;
    try {
      const further = await busy(more, () => part(`${page}/list?after=${more.dataset.after}&here=${talk.dataset.id}`));
      const next = further.firstElementChild;
      more.replaceWith(...further.children);
      next?.focus();
    } catch (error) {
      toast(error.message, "bad", error.hint);
    }
  });

  $("#delete").addEventListener("click", async (event) => {
    if (!confirm(question)) return;
    try {
      await busy(event.currentTarget, () => call("DELETE", stored(talk.dataset.id)));
      leave();
      location.assign(path(page));
    } catch (error) {
      toast(error.message, "bad", error.hint);
    }
  });

  return {
    get id() {
      return talk.dataset.id;
    },
    name,
    refresh,

    /** It has begun with `text`, or gone on: its address, its place in the list. */
    entered(id, text) {
      if (!talk.dataset.id) {
        talk.dataset.id = id;
        $("#manage").hidden = false;
        const title = text.replace(/\s+/g, " ").trim();
        name(title.length > 80 ? `${title.slice(0, 79)}…` : title);
        history.replaceState(null, "", path(`${page}/${id}`));
      }
      refresh();
    },
  };
}
