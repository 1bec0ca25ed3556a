// Forgetting, one by one or everything.

import { $, announce, busy, toast } from "./dom.js";
import { call } from "./fetch.js";

$("#memory")?.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-forget]");
  if (!button) return;
  const row = button.closest("li");
  try {
    await busy(button, () => call("DELETE", `/api/nova/memory/${button.dataset.forget}`));
    const next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    announce("Forgotten.");
    if (next) $("[data-forget]", next).focus();
    else location.reload();
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});

$("#forget-all")?.addEventListener("click", async (event) => {
  if (!confirm("Forget everything that was said until now? The sessions stay.")) return;
  try {
    await busy(event.currentTarget, () => call("DELETE", "/api/nova/memory"));
    location.reload();
  } catch (error) {
    toast(error.message, "bad", error.hint);
  }
});
