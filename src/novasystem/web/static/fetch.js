// Calls of the server's JSON interface; what it refuses is an error with its own sentence.

import { path } from "./dom.js";

/** `message`, `hint` as the server said them; `status` 0: it was not reached. */
export class ServerError extends Error {
  constructor(message, hint = "", status = 0, code = "") {
    super(message);
    this.hint = hint;
    this.status = status;
    this.code = code;
  }
}

/**
 * The answer's JSON (null where there is none). `body` goes as JSON.
 * Throws ServerError; one that was cut off by `signal` throws what the browser says.
 */
export async function call(method, target, body, { headers = {}, signal } = {}) {
  const response = await request(method, target, body, { headers, signal });
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** The response itself, for streams and pages; otherwise as `call`. */
export async function request(method, target, body, { headers = {}, signal } = {}) {
  const asked = { method, headers: { accept: "application/json", ...headers }, signal };
  if (body !== undefined) {
    asked.body = JSON.stringify(body);
    asked.headers["content-type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path(target), asked);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer.", "Look whether it still runs, then try again.");
  }
  if (response.ok) return response;
  throw await asError(response);
}

/** What a response that is not `ok` says, in whichever form its door has. */
export async function asError(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // No JSON: a proxy, most likely.
  }
  const inner = said.error && typeof said.error === "object" ? said.error : said;
  const detail = typeof inner.detail === "string" ? inner.detail : inner.message;
  const message = detail || `The server answered with ${response.status}.`;
  return new ServerError(message, inner.hint || "", response.status, inner.code || "");
}
