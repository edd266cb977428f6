// One run: what it made, with which settings, by which graph, and the way to run it again.

import { get } from "./api.js";
import { el, fill } from "./dom.js";
import { drawGraph } from "./graph-view.js";
import { address } from "./router.js";
import { makeStage } from "./stage.js";
import { mediaKind, titleOf } from "./words.js";

/** The view of the run of this id. */
export async function runView(run) {
  const [card, sheet] = await Promise.all([get(`/page/runs/${run}`), get(`/page/runs/${run}/sheet`)]);
  const names = new Map(sheet.nodes.map((node) => [node.id, node.title]));
  const nameOf = (node) => names.get(node) || names.get(node.split(":")[0]) || node;
  const graph = drawGraph({ ...sheet, problems: [] });
  const files = el("div", { class: "actions" });
  const showFiles = (known) =>
    fill(
      files,
      el("a", { class: "button primary", href: address(["create", "run", run]) }, "Run again with changes"),
      known.outputs.map((output) =>
        el(
          "a",
          { class: "button", href: output.url, download: output.name },
          known.outputs.length === 1
            ? `Download the ${mediaKind(output.name) === "image" ? "picture" : "file"}`
            : `Download ${output.name}`,
        ),
      ),
      sheet.document &&
        el(
          "button",
          { type: "button", onclick: () => saveText(`${fileName(card)}.json`, sheet.document) },
          "Download the workflow",
        ),
    );
  let failed = false;
  const stage = makeStage({
    nameOf,
    linked: false,
    onstanding(standing) {
      graph.update(standing);
      if (standing.failures.length && !failed) {
        failed = true;
        graph.select(standing.failures[0].node.split(":")[0]);
      }
    },
    onended: showFiles,
  });
  showFiles(card);
  stage.show(run);
  const element = el(
    "div",
    { class: "one-run" },
    el(
      "div",
      { class: "head" },
      el("h1", {}, titleOf(card)),
      card.prompt && el("p", { class: "lead" }, card.prompt),
    ),
    stage.element,
    el(
      "div",
      { class: "facts" },
      files,
      el("section", { class: "panel" }, el("h2", {}, "Settings"), settings(sheet)),
    ),
    el("section", { class: "panel how" }, el("h2", {}, "How it was made"), graph.element),
  );
  return { element, title: titleOf(card), close: () => stage.close() };
}

function settings(sheet) {
  const fields = sheet.fields.filter((field) => field.kind !== "secret");
  if (!fields.length) return el("p", { class: "muted" }, "The workflow has none.");
  return el(
    "dl",
    { class: "settings" },
    fields.map((field) => [el("dt", {}, field.title), el("dd", {}, shown(field.value))]),
  );
}

function shown(value) {
  if (value === null || value === "") return el("span", { class: "muted" }, "(empty)");
  if (value === true) return "Yes";
  if (value === false) return "No";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function fileName(card) {
  return (
    titleOf(card)
      .replace(/[^A-Za-z0-9 _-]/g, "")
      .trim()
      .slice(0, 60) || "workflow"
  );
}

function saveText(name, text) {
  let pretty = text;
  if (!/\d{16}/.test(text)) pretty = JSON.stringify(JSON.parse(text), null, 2);
  const url = URL.createObjectURL(new Blob([pretty], { type: "application/json" }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
