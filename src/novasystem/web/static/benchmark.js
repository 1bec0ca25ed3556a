// A benchmark on a page of its own.

import { $ } from "./dom.js";
import { listen, showResult } from "./result.js";
import { follow } from "./sse.js";

const main = $("#content");
const article = $("[data-benchmark]", main);
listen(main, () => {});

if (article.dataset.going === "yes") {
  const id = article.dataset.benchmark;
  const holder = document.createElement("div");
  article.replaceWith(holder);
  holder.append(article);
  follow(`/api/benchmarks/${id}/events`, { onEvent: () => {}, onOver: () => showResult(holder, id) });
}
