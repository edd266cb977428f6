// Above the form: which workflow it is, and saving and deleting it.

import { send } from "./api.js";
import { say } from "./announce.js";
import { askLine, confirm } from "./dialogs.js";
import * as drafts from "./drafts.js";
import { el, uniqueId } from "./dom.js";
import { address, go } from "./router.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._ -]{0,99}$/;

/** The bar for a source (`{kind, name}`) among the saved workflows and the examples. */
export function workflowBar({ source, sheet, saved, examples, form }) {
  const select = el("select", { id: uniqueId("workflow") });
  const group = (label, kind, entries) =>
    entries.length &&
    el(
      "optgroup",
      { label },
      entries.map((entry) =>
        el(
          "option",
          {
            value: address(["create", kind, entry.name]),
            selected: kind === source.kind && entry.name === source.name,
          },
          entry.title || entry.name,
        ),
      ),
    );
  const mine = source.kind === "run" || source.kind === "file";
  select.append(
    ...[
      mine &&
        el(
          "option",
          { value: "", selected: true },
          source.kind === "run" ? "From a picture or run" : "From a file",
        ),
      group("Saved", "saved", saved),
      group("Examples", "example", examples),
    ].filter(Boolean),
  );
  select.addEventListener("change", () => {
    if (select.value) go(select.value);
  });
  const save = el(
    "button",
    { type: "button", disabled: sheet.document === null, onclick: () => saveAs(source, sheet, saved, form) },
    "Save as…",
  );
  const remove =
    source.kind === "saved" &&
    el("button", { type: "button", onclick: () => removeSaved(source.name) }, "Delete");
  return el("div", { class: "toolbar" }, el("label", { for: select.id }, "Workflow"), select, save, remove);
}

async function saveAs(source, sheet, saved, form) {
  const suggested =
    source.kind === "saved"
      ? source.name
      : (sheet.title || "My workflow")
          .replace(/[^A-Za-z0-9._ -]/g, "")
          .trim()
          .slice(0, 100);
  const name = await askLine("Save this workflow", "Name", suggested, "Save", (given) =>
    NAME.test(given) && !/[. ]$/.test(given)
      ? null
      : "Use letters, digits, spaces and . _ - and begin with a letter or digit.",
  );
  if (name === null) return;
  const taken = saved.some((entry) => entry.name === name) && name !== source.name;
  if (taken && !(await confirm("Replace it?", `There is a workflow “${name}” already.`, "Replace"))) return;
  const inputs = [...form.changes()].map(([field, text]) => `${JSON.stringify(field)}:${text}`).join(",");
  try {
    const filled = await send("POST", "/page/fill", {
      body: `{"workflow":${sheet.document},"inputs":{${inputs}}}`,
      type: "application/json",
    });
    await send("PUT", `/api/v1/workflows/${encodeURIComponent(name)}`, {
      body: await filled.text(),
      type: "application/json",
    });
    say(`Saved as ${name}.`);
    drafts.drop(`saved/${name}`);
    go(address(["create", "saved", name]));
  } catch (error) {
    form.show(
      "It could not be saved",
      error.problems?.length ? error.problems : [{ message: error.message, code: error.code }],
      (node) => node,
    );
  }
}

async function removeSaved(name) {
  if (
    !(await confirm(
      "Delete it?",
      `The workflow “${name}” will be gone. Pictures made with it stay.`,
      "Delete",
    ))
  )
    return;
  await send("DELETE", `/api/v1/workflows/${encodeURIComponent(name)}`);
  drafts.drop(`saved/${name}`);
  say(`${name} is deleted.`);
  go("#/");
}
