// One control for each kind of field. Each has its element, its value as JSON text (null: leave it as it is), its plain
// state for a draft, and a sentence about what is wrong with it, if anything is.

import { imageWidget } from "./image-widget.js";
import { listWidget, jsonWidget } from "./list-widget.js";
import { el, uniqueId } from "./dom.js";

const WHOLE = /^[+-]?\d+$/;
const EXACT = 2n ** 53n;
const SPAN = 2n ** 32n;

/** The control for a field. */
export function widgetFor(field, id) {
  const make = MAKERS[field.kind] || jsonWidget;
  const widget = make(field, id);
  widget.initial = widget.json();
  return widget;
}

function plain(control, json, fault = () => null) {
  return {
    element: control,
    control,
    json,
    fault,
    state: () => control.value,
    restore: (state) => {
      control.value = state;
    },
  };
}

function text(field, id) {
  const input = el("input", {
    type: "text",
    id,
    value: field.value ?? "",
    placeholder: field.placeholder,
    autocomplete: "off",
  });
  return plain(input, () => JSON.stringify(input.value));
}

function multiline(field, id) {
  const area = el("textarea", { id, rows: 3, placeholder: field.placeholder, spellcheck: "true" });
  area.value = field.value ?? "";
  return plain(area, () => JSON.stringify(area.value));
}

function secret(field, id) {
  const input = el("input", {
    type: "password",
    id,
    autocomplete: "off",
    placeholder: field.required ? "" : "Leave empty to keep it",
  });
  const json = () => (input.value === "" ? "null" : JSON.stringify(input.value));
  return plain(input, json, () =>
    field.required && input.value === "" ? "Enter it again; it is not kept." : null,
  );
}

function whole(field, id) {
  const given = String(field.value ?? "");
  const fits = WHOLE.test(given) && BigInt(given) < EXACT && BigInt(given) > -EXACT;
  const input =
    fits || given === ""
      ? el("input", {
          type: "number",
          id,
          min: field.minimum,
          max: field.maximum,
          step: field.step || 1,
          inputmode: "numeric",
          value: given,
        })
      : el("input", { type: "text", id, inputmode: "numeric", value: given });
  return plain(
    input,
    () => wholeJson(input.value),
    () => wholeFault(input, field),
  );
}

function wholeJson(value) {
  const trimmed = value.trim();
  return WHOLE.test(trimmed) ? BigInt(trimmed).toString() : JSON.stringify(value);
}

function wholeFault(input, field) {
  const trimmed = input.value.trim();
  if (!WHOLE.test(trimmed)) return "Enter a whole number.";
  const { minimum, maximum } = field;
  if (minimum !== null && BigInt(trimmed) < BigInt(minimum)) return `It must be ${minimum} or more.`;
  if (maximum !== null && BigInt(trimmed) > BigInt(maximum)) return `It must be ${maximum} or less.`;
  return null;
}

function float(field, id) {
  const input = el("input", {
    type: "number",
    id,
    min: field.minimum,
    max: field.maximum,
    step: field.step || "any",
    inputmode: "decimal",
    value: field.value ?? "",
  });
  const short = field.minimum !== null && field.maximum !== null && field.maximum - field.minimum <= 1;
  const fault = () => {
    const number = input.valueAsNumber;
    if (!Number.isFinite(number)) return "Enter a number.";
    if (field.minimum !== null && number < field.minimum) return `It must be ${field.minimum} or more.`;
    if (field.maximum !== null && number > field.maximum) return `It must be ${field.maximum} or less.`;
    return null;
  };
  const json = () =>
    Number.isFinite(input.valueAsNumber) ? String(input.valueAsNumber) : JSON.stringify(input.value);
  if (!short) return plain(input, json, fault);
  const slider = el("input", {
    type: "range",
    min: field.minimum,
    max: field.maximum,
    step: field.step || 0.01,
    value: field.value ?? 0,
    "aria-label": `${field.title}, slider`,
    tabindex: -1,
  });
  slider.addEventListener("input", () => {
    input.value = slider.value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  input.addEventListener("input", () => {
    slider.value = input.value;
  });
  const widget = plain(input, json, fault);
  widget.element = el("div", { class: "beside" }, slider, input);
  widget.restore = (state) => {
    input.value = state;
    slider.value = state;
  };
  return widget;
}

function boolean(field, id) {
  const input = el("input", {
    type: "checkbox",
    id,
    class: "switch",
    role: "switch",
    checked: field.value === true,
  });
  const [off, on] = field.labels || ["Off", "On"];
  const word = el("span", { class: "muted", "aria-hidden": "true" });
  const show = () => {
    word.textContent = input.checked ? on : off;
  };
  input.addEventListener("change", show);
  show();
  return {
    element: el("div", { class: "beside" }, input, word),
    control: input,
    json: () => String(input.checked),
    fault: () => null,
    state: () => input.checked,
    restore: (state) => {
      input.checked = state;
      show();
    },
  };
}

function choice(field, id) {
  const choices = field.choices || [];
  const known = choices.findIndex((entry) => JSON.stringify(entry) === JSON.stringify(field.value));
  const select = el(
    "select",
    { id },
    choices.map((entry, index) =>
      el("option", { value: index, selected: index === known }, entry === "" ? "(none)" : String(entry)),
    ),
  );
  const missing = field.value !== null && known < 0;
  if (missing) select.prepend(el("option", { value: "-1", selected: true }, `${field.value} (not here)`));
  else if (known < 0)
    select.prepend(
      el("option", { value: "-1", selected: true }, choices.length ? "Choose…" : "There are none here"),
    );
  const value = () => (select.value === "-1" ? field.value : choices[Number(select.value)]);
  const fault = () => {
    if (select.value !== "-1") return null;
    return missing ? `“${field.value}” is not here. Choose another.` : "Choose one.";
  };
  return {
    element: select,
    control: select,
    json: () => JSON.stringify(value()),
    fault,
    state: () => JSON.stringify(value()),
    restore: (state) => {
      const index = choices.findIndex((entry) => JSON.stringify(entry) === state);
      if (index >= 0) select.value = String(index);
    },
  };
}

function seed(field, id) {
  const input = el("input", {
    type: "text",
    id,
    inputmode: "numeric",
    autocomplete: "off",
    spellcheck: "false",
    value: field.value ?? "0",
  });
  const fresh = el("input", { type: "checkbox", id: uniqueId("fresh") });
  const label = el("label", { for: fresh.id, class: "check" }, fresh, "New for each run");
  const widget = plain(
    input,
    () => wholeJson(input.value),
    () => wholeFault(input, field),
  );
  widget.element = el("div", { class: "beside wrap" }, input, label);
  widget.state = () => ({ value: input.value, fresh: fresh.checked });
  widget.restore = (state) => {
    input.value = state.value;
    fresh.checked = state.fresh;
  };
  widget.fresh = (yes) => {
    fresh.checked = yes;
  };
  widget.beforeRun = () => {
    if (fresh.checked) input.value = randomSeed(field);
  };
  return widget;
}

function randomSeed(field) {
  const low = BigInt(field.minimum ?? "0");
  const high = BigInt(field.maximum ?? "4294967295");
  const span = high - low + 1n < SPAN ? high - low + 1n : SPAN;
  const [drawn] = crypto.getRandomValues(new Uint32Array(1));
  return (low + (BigInt(drawn) % span)).toString();
}

const MAKERS = {
  text,
  multiline,
  secret,
  float,
  boolean,
  choice,
  seed,
  int: whole,
  model: choice,
  image: imageWidget,
  list: listWidget,
  json: (field, id) => (isPlainList(field.value) ? listWidget(field, id) : jsonWidget(field, id)),
};

function isPlainList(value) {
  if (!Array.isArray(value) || !value.length) return false;
  const kind = typeof value[0];
  return (
    (kind === "number" || kind === "string") &&
    value.every((entry) => typeof entry === kind && !String(entry).includes("\n"))
  );
}
