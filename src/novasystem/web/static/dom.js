// Elements, announcements and messages. Texts go in as text, never as HTML.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/**
 * An element: el("p", {class: "quiet", onclick: f}, "text", child, …).
 * Attributes that are null, undefined or false are left out; true is an empty attribute.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A path on this server, with the prefix under which a proxy shows it. */
export const path = (target) => `${document.documentElement.dataset.root}${target}`;

/** Tell those who cannot see it; `now` interrupts what is being read. */
export function announce(text, { now = false } = {}) {
  const place = $(now ? "#said-now" : "#said");
  // The same text twice is told twice.
  place.textContent = "";
  setTimeout(() => {
    place.textContent = text;
  }, 50);
}

/** A message in the corner; kind: "info", "good" or "bad". Errors stay until they are closed. */
export function toast(text, kind = "info", hint = "") {
  const close = el("button", { class: "icon", type: "button", "aria-label": "Close this message" }, "×");
  const made = el(
    "div",
    { class: `toast ${kind}` },
    el("div", {}, el("strong", {}, text), hint ? el("p", {}, hint) : null),
    close,
  );
  close.addEventListener("click", () => made.remove());
  $("#toasts").append(made);
  announce(hint ? `${text} ${hint}` : text, { now: kind === "bad" });
  if (kind !== "bad") setTimeout(() => made.remove(), 6000);
  return made;
}

/** What went wrong, in `place`: an error box with the server's sentence; null takes it away. */
export function showError(place, error) {
  place.replaceChildren();
  place.hidden = !error;
  if (!error) return;
  place.append(
    el(
      "div",
      { class: "notice bad", role: "alert" },
      el("strong", {}, error.message),
      error.hint ? el("p", {}, error.hint) : null,
    ),
  );
}

/** `button` shows that it works while `work` does, and cannot be pressed again meanwhile. */
export async function busy(button, work) {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}

/** Bring `element` into view and the keyboard with it. */
export function bring(element, { focus = true } = {}) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  if (!focus) return;
  if (!element.hasAttribute("tabindex")) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

/** "50.3 ms", "1.23 s": three digits of the unit that fits; "-" for what is not known. */
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size > 0 && size < 0.9995e-3) return `${three(value * 1e6)} µs`;
  if (size > 0 && size < 0.9995) return `${three(value * 1e3)} ms`;
  if (size >= 600) return `${(value / 60).toFixed(1)} min`;
  return `${three(value)} s`;
}

/** A number with three digits. */
export function three(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  const digits = size >= 99.95 || value === 0 ? 0 : size >= 9.995 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The colour that a custom property of the style sheet means now, as scripts can use it. */
export function colour(name) {
  const probe = el("span", { class: "unseen" });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
