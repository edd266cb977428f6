// The switch between the system's theme, light and dark.

import { fill, svg } from "./dom.js";

const KEY = "graphcore-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const NAMES = { auto: "as the system", light: "light", dark: "dark" };
const SHAPES = {
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  light:
    "M12 7a5 5 0 1 0 0 10a5 5 0 0 0 0-10M12 1v2M12 21v2M1 12h2M21 12h2M4.200 4.200l1.400 1.400M18.400 18.400l1.400 1.400M4.200 19.800l1.400-1.400M18.400 5.600l1.400-1.400",
  dark: "M20.500 14.500A9 9 0 1 1 9.500 3.500a7 7 0 0 0 11 11z",
};

/** Give the switch its work. */
export function startTheme(button) {
  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const path = svg("path", { d: SHAPES[theme], class: theme === "auto" ? "half" : "" });
    fill(button, svg("svg", { viewBox: "0 0 24 24", width: 20, height: 20, "aria-hidden": "true" }, path));
    button.setAttribute("aria-label", `Theme: ${NAMES[theme]}. Change to: ${NAMES[NEXT[theme]]}.`);
    button.title = `Theme: ${NAMES[theme]}`;
    button.dataset.theme = theme;
  };
  button.addEventListener("click", () => {
    const theme = NEXT[button.dataset.theme];
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It holds until the page is left.
    }
    show(theme);
  });
  show(document.documentElement.dataset.theme || "auto");
}
