// The form of a workflow: its fields, their faults, and the values that have been changed.

import { el, fill, uniqueId } from "./dom.js";
import { widgetFor } from "./widgets.js";

const CHOSEN = ["image", "model", "choice"];

/** A form for a sheet. `fresh` makes new seeds the rule; `onchange` is told of edits, `oncorrected` of the nodes to whose
 * faults something was done. */
export function makeForm(sheet, { fresh, onchange, oncorrected }) {
  const entries = [];
  const told = new Map();
  const add = (field) => {
    const entry = makeField({ ...field, choices: sheet.choices[field.choices] || null });
    entries.push(entry);
    if (entry.widget.fresh) entry.widget.fresh(fresh);
    return entry.element;
  };
  const summary = el("div", {
    class: "summary",
    tabindex: -1,
    hidden: true,
    role: "group",
    "aria-label": "What is wrong",
  });
  const main = el("div", { class: "fields" }, sheet.fields.map(add));
  const more = moreFields(sheet.more, add);
  const hidden = new Set(sheet.more.flatMap((group) => group.fields.map((field) => field.name)));
  const element = el("div", { class: "form-fields" }, summary, main, more.element);
  element.addEventListener("input", (event) => {
    const entry = entries.find((candidate) => candidate.element.contains(event.target));
    if (entry) correct(entry);
    onchange();
  });
  element.addEventListener("change", onchange);
  return {
    element,
    empty: entries.length + hidden.size === 0,
    summary,
    /** Wait for uploads, draw new seeds; returns true if all fields can be sent. */
    async prepare() {
      await Promise.all(entries.map((entry) => entry.widget.settled && entry.widget.settled()));
      for (const entry of entries) if (entry.widget.beforeRun) entry.widget.beforeRun();
      const faults = entries
        .filter((entry) => entry.widget.json() !== entry.widget.initial || empty(entry.field))
        .map((entry) => ({ entry, fault: entry.widget.fault() }))
        .filter(({ fault }) => fault);
      clear();
      for (const { entry, fault } of faults) setFault(entry, { code: "", message: fault });
      if (faults.length) reveal(faults[0].entry);
      return faults.length === 0;
    },
    /** What has been changed: names to JSON text. */
    changes() {
      const changed = entries.filter((entry) => entry.widget.json() !== entry.widget.initial);
      return new Map(changed.map((entry) => [entry.field.name, entry.widget.json()]));
    },
    state: () => Object.fromEntries(entries.map((entry) => [entry.field.name, entry.widget.state()])),
    restore(state) {
      if (Object.keys(state).some((name) => hidden.has(name))) more.make();
      for (const entry of entries)
        if (entry.field.name in state) entry.widget.restore(state[entry.field.name]);
    },
    /** A picture for the first field that takes one; false if there is none. */
    takePicture(file) {
      const entry = entries.find((candidate) => candidate.widget.take);
      if (entry) entry.widget.take(file);
      return Boolean(entry);
    },
    clear,
    /** True if a problem is but that something has not been filled in yet. */
    unfilled(problem) {
      const entry = entryOf(entries, problem);
      return Boolean(entry && problem.input && empty(entry.field));
    },
    /** Show problems, each at its field, and all of them above; the focus goes there. */
    show(title, problems, nameOf, focus = true) {
      clear();
      if (problems.some((problem) => sheet.more.some((group) => group.node === problem.node))) more.make();
      const items = problems.map((problem) => {
        const entry = entryOf(entries, problem);
        const item = problemItem(problem, entry, nameOf);
        if (entry) {
          setFault(entry, problem);
          unfold(entry);
          told.set(entry, [...(told.get(entry) || []), item]);
        }
        return item;
      });
      fill(summary, el("h2", {}, title), el("ul", {}, items));
      summary.hidden = false;
      if (focus) summary.focus();
    },
  };

  function correct(entry) {
    setFault(entry, null);
    for (const item of told.get(entry) || []) item.remove();
    if (told.delete(entry)) oncorrected(entry.field.targets.map((target) => target.node));
    if (!summary.querySelector("li")) summary.hidden = true;
  }

  function clear() {
    told.clear();
    summary.hidden = true;
    entries.forEach((entry) => setFault(entry, null));
  }
}

/** True for a field that must be filled in and is not: nothing was chosen. */
function empty(field) {
  return field.required && (field.value === null || (field.value === "" && CHOSEN.includes(field.kind)));
}

function makeField(field) {
  const id = uniqueId("field");
  const widget = widgetFor(field, id);
  const hint = [field.description, widget.hint].filter(Boolean).join(" ");
  const hintId = `${id}-hint`;
  const faultId = `${id}-fault`;
  const fault = el("p", { class: "error", id: faultId, hidden: true });
  widget.control.setAttribute("aria-describedby", `${hint ? `${hintId} ` : ""}${faultId}`);
  const narrow =
    ["int", "float", "boolean"].includes(field.kind) && !widget.element.querySelector?.("input[type=range]");
  const element = el(
    "div",
    { class: narrow ? "field narrow" : "field", "data-field": field.name },
    el("label", { for: id }, field.title),
    widget.element,
    hint && el("p", { class: "hint", id: hintId }, hint),
    fault,
  );
  return { field, widget, element, fault };
}

/** The fields that few ask for; they are made when somebody does. */
function moreFields(groups, add) {
  if (!groups.length) return { element: null, make() {} };
  const sets = el("div", {});
  const element = el(
    "details",
    { class: "more" },
    el("summary", {}, "All settings"),
    el("p", { class: "hint" }, "Every value of every node."),
    sets,
  );
  const make = () => {
    if (sets.childElementCount) return;
    sets.append(
      ...groups.map((group) =>
        el(
          "fieldset",
          { "data-node": group.node },
          el("legend", {}, group.title),
          el("div", { class: "fields" }, group.fields.map(add)),
        ),
      ),
    );
  };
  element.addEventListener("toggle", make);
  return { element, make };
}

function entryOf(entries, problem) {
  const targeting = (entry, exact) =>
    entry.field.targets.some(
      (target) => target.node === problem.node && (!exact || target.input === problem.input),
    );
  const exact = problem.input && entries.find((entry) => targeting(entry, true));
  if (exact || problem.input) return exact || null;
  return entries.find((entry) => problem.node && targeting(entry, false)) || null;
}

function setFault(entry, problem) {
  entry.element.classList.toggle("wrong", Boolean(problem));
  entry.fault.hidden = !problem;
  fill(entry.fault, problem && [problem.message, " ", problem.code && el("code", {}, problem.code)]);
  if (problem) entry.widget.control.setAttribute("aria-invalid", "true");
  else entry.widget.control.removeAttribute("aria-invalid");
}

function problemItem(problem, entry, nameOf) {
  const where = entry ? entry.field.title : problem.node ? nameOf(problem.node) : null;
  const place = entry
    ? el("button", { type: "button", class: "link", onclick: () => reveal(entry) }, where)
    : where && el("strong", {}, where);
  return el(
    "li",
    {},
    place,
    place && ": ",
    problem.message,
    " ",
    problem.code && el("code", {}, problem.code),
  );
}

function unfold(entry) {
  const details = entry.element.closest("details");
  if (details) details.open = true;
}

function reveal(entry) {
  unfold(entry);
  entry.widget.control.focus();
}
