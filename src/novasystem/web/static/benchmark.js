// A benchmark on a page of its own.

import { $ } from "./dom.js";
import { listen, showResult } from "./result.js";
import { follow } from "./sse.js";
import { ENDED } from "./streaming.js";

const main = $("#content");
const article = $("[data-benchmark]", main);
listen(main, () => {});

if (article.dataset.going === "yes") {
  const id = article.dataset.benchmark;
  const holder = document.createElement("div");
  article.replaceWith(holder);
  holder.append(article);
  const show = () => showResult(holder, id);
  const handle = follow(`/api/benchmarks/${id}/events`, {
    endless: true,
    onEvent({ data }) {
      if (data.type !== "status" || !ENDED.has(data.status)) return;
      handle.close();
      show();
    },
    onOver: show,
  });
}
