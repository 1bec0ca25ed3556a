// Whoever came over a link elsewhere was sent here without the cookie, which the browser keeps back
// then: asked from our own page, it is sent, and the way is free.

import { $, path } from "./dom.js";

const form = $("#login");
const wanted = form.elements.next.value;

form.addEventListener("submit", () => {
  const button = $("button", form);
  button.setAttribute("aria-busy", "true");
  // Not disabled: the form is on its way, and may come back by the browser's own history.
  addEventListener("pageshow", () => button.removeAttribute("aria-busy"), { once: true });
});

try {
  const answer = await fetch(path("/login"), { redirect: "manual", cache: "no-store" });
  if (answer.type === "opaqueredirect") location.replace(path(wanted));
} catch {
  // The form stays.
}
