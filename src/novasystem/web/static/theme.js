// Before the first paint, so that nothing flashes: not a module, which would come later.
(function () {
  const KEY = "nova-theme";
  const root = document.documentElement;
  const kept = () => {
    try {
      return localStorage.getItem(KEY) || "auto";
    } catch {
      return "auto"; // Storage may be forbidden.
    }
  };
  const apply = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("nova:theme"));
  };
  apply(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    if (!select) return;
    select.value = kept();
    select.addEventListener("change", () => {
      try {
        localStorage.setItem(KEY, select.value);
      } catch {
        // It holds for this page then.
      }
      apply(select.value);
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(kept()));
  addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    apply(kept());
    const select = document.getElementById("theme");
    if (select) select.value = kept();
  });
})();
