// On every page: small things that need no module of their own.

import { $, $$, toast } from "./dom.js";
import { connectionNotice } from "./sse.js";

/** Times are sent with their zone, and shown in the reader's. */
export function localTimes(within = document) {
  for (const time of $$("time[datetime]", within)) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf()) || time.dataset.local) continue;
    time.dataset.local = "1";
    time.title = time.dateTime;
    const long = time.hasAttribute("data-long");
    const today = at.toDateString() === new Date().toDateString();
    const format = { hour: "2-digit", minute: "2-digit", ...(long ? { second: "2-digit" } : {}) };
    if (!today || long) Object.assign(format, { year: "numeric", month: "short", day: "numeric" });
    time.textContent = at.toLocaleString(undefined, format);
  }
}

localTimes();
document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));

// What is asked again every few seconds tells once that nothing answers, and changes where what it
// shows does.
const polls = (element) => (element.getAttribute("hx-trigger") ?? "").includes("every ");
const notice = $("#connection") && connectionNotice($("#connection"));
let refused = 0;
let shown = "";

document.addEventListener("htmx:beforeOnLoad", (event) => {
  if (!polls(event.target) || event.detail.xhr.status >= 400) return;
  refused = 0;
  notice.show("open");
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!polls(event.detail.target) || !event.detail.shouldSwap) return;
  const text = event.detail.xhr.responseText;
  if (text === shown) event.detail.shouldSwap = false;
  shown = text;
});
document.addEventListener("htmx:sendError", (event) => {
  // What refreshes by itself does so again once the connection is back, which the page tells.
  if (event.target.id === "recent") return;
  if (polls(event.target)) notice.show("lost");
  else toast("The server does not answer.", "bad", "Look whether it still runs, then try again.");
});
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  if (polls(event.target)) {
    if (status >= 500) notice.show("lost");
    if (status >= 500 || status === refused) return;
    refused = status;
  }
  toast(`The server answered with ${status}.`, "bad", "Load the page anew.");
});
// What is scrolled to from elsewhere is where the keyboard goes on.
$(".skip")?.addEventListener("click", () => $("#content").focus());
// The current page stands in view where the list of pages is wider than the screen.
const here = $(".places [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 24;
