// Before the first paint: the theme that was chosen here.
(function () {
  try {
    const chosen = localStorage.getItem("graphcore-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Without storage the system's theme holds.
  }
})();
