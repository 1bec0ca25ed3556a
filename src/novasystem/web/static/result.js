// A result that is shown: opened in a page or on a page of its own.

import { $, bring, busy, el, showError } from "./dom.js";
import { call, request, ServerError } from "./fetch.js";
import { localTimes } from "./page.js";

/** Show benchmark `id` in `place`; `scroll`: and bring it into view. */
export async function showResult(place, id, { scroll = false } = {}) {
  place.setAttribute("aria-busy", "true");
  // Answers may come in another order than they were asked for: the last one that is wanted counts.
  place.dataset.wanted = id;
  const wanted = () => place.dataset.wanted === id;
  try {
    const response = await request("GET", `/benchmarks/${encodeURIComponent(id)}`, undefined, {
      headers: { accept: "application/json", "hx-request": "true" },
    });
    // The server's own template: what models wrote in it is escaped or sanitised there.
    const text = await response.text();
    if (!wanted()) return;
    place.innerHTML = text;
    localTimes(place);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    if (!wanted()) return;
    showError(place, error);
  } finally {
    if (wanted()) place.removeAttribute("aria-busy");
  }
  if (scroll) bring(place);
}

/** The buttons of results within `place`. */
export function listen(place, onDeleted) {
  place.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-delete]");
    if (!button) return;
    if (button.dataset.sure !== "yes") {
      button.dataset.sure = "yes";
      button.textContent = "Really delete it";
      setTimeout(() => {
        button.dataset.sure = "";
        button.textContent = "Delete";
      }, 5000);
      return;
    }
    const article = button.closest("[data-benchmark]");
    try {
      await busy(button, () => call("DELETE", `/api/benchmarks/history/${article.dataset.benchmark}`));
    } catch (error) {
      showError($("[data-error]", article), error);
      return;
    }
    article.replaceWith(el("p", { class: "notice good", role: "status" }, "The benchmark is deleted."));
    onDeleted(article.dataset.benchmark);
  });
}
