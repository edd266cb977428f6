// Lists of numbers or texts, one a line; and anything else, as JSON.

import { el } from "./dom.js";

/** A list, one entry a line. */
export function listWidget(field, id) {
  const numbers = typeof field.value[0] === "number";
  const area = el("textarea", {
    id,
    rows: Math.min(8, field.value.length + 1),
    spellcheck: "false",
    class: "code",
  });
  area.value = field.value.join("\n");
  const entries = () =>
    area.value
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  const fault = () => {
    if (!entries().length) return "Enter one value on each line.";
    return numbers && !entries().every((entry) => Number.isFinite(Number(entry)))
      ? "Enter one number on each line."
      : null;
  };
  return {
    element: area,
    control: area,
    hint: "One on each line.",
    json: () =>
      numbers
        ? `[${entries()
            .map((entry) => Number(entry))
            .join(",")}]`
        : JSON.stringify(entries()),
    fault,
    state: () => area.value,
    restore: (state) => {
      area.value = state;
    },
  };
}

/** Any value, as JSON. */
export function jsonWidget(field, id) {
  const area = el("textarea", { id, rows: 3, spellcheck: "false", class: "code" });
  area.value = field.value === null || field.value === undefined ? "" : JSON.stringify(field.value);
  const parsed = () => {
    try {
      JSON.parse(area.value);
      return true;
    } catch {
      return false;
    }
  };
  return {
    element: area,
    control: area,
    hint: "A value as JSON.",
    json: () => (area.value.trim() === "" ? "null" : parsed() ? area.value : JSON.stringify(area.value)),
    fault: () =>
      area.value.trim() !== "" && !parsed() ? "This is not JSON. Text stands in double quotes." : null,
    state: () => area.value,
    restore: (state) => {
      area.value = state;
    },
  };
}
