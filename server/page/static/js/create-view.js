// Make pictures: choose a workflow, fill in its form, watch the run.

import { get, submit } from "./api.js";
import { say } from "./announce.js";
import { el } from "./dom.js";
import { makeForm } from "./form.js";
import { drawGraph } from "./graph-view.js";
import { refreshQueue } from "./queue.js";
import { address, go, note } from "./router.js";
import { makeStage } from "./stage.js";
import * as drafts from "./drafts.js";
import { workflowBar } from "./workflow-bar.js";

const FIRST = "text-to-image";

/** The view for a place: nothing, `example/name`, `saved/name`, `run/id` or `file`. */
export async function createView(parts, query, opened) {
  const lists = await Promise.all([get("/api/v1/workflows"), get("/page/examples")]);
  const [saved, examples] = [lists[0].workflows, lists[1].examples];
  const source = parts.length ? { kind: parts[0], name: parts[1] || "" } : firstSource(saved, examples);
  if (!source) return nothingYet();
  const sheet = source.kind === "file" ? opened() : await get(sheetPath(source));
  if (!sheet) return nothingYet("The file that was opened is gone; open it again.");
  return view({ source, sheet, saved, examples, query });
}

function sheetPath({ kind, name }) {
  const folder = { example: "examples", saved: "workflows", run: "runs" }[kind];
  if (!folder) throw Object.assign(new Error("There is nothing at this address."), { code: "not-found" });
  return `/page/${folder}/${encodeURIComponent(name)}/sheet`;
}

function firstSource(saved, examples) {
  const last = drafts.lastSource();
  const there = last && (last.kind === "saved" ? saved : last.kind === "example" ? examples : []);
  if (there && there.some((entry) => entry.name === last.name)) return last;
  const first = examples.find((entry) => entry.name === FIRST) || examples[0];
  if (first) return { kind: "example", name: first.name };
  return saved.length ? { kind: "saved", name: saved[0].name } : null;
}

function nothingYet(told = "There is no workflow here yet.") {
  const element = el(
    "div",
    { class: "empty" },
    el("h1", {}, "Create"),
    el("p", {}, told),
    el(
      "p",
      {},
      "Open a workflow, or a picture that carries one: drop it anywhere on this page, paste it, or choose it.",
    ),
    el(
      "button",
      { type: "button", class: "primary", onclick: () => document.getElementById("open").click() },
      "Open a file",
    ),
  );
  return { element, title: "Create", close() {} };
}

function view({ source, sheet, saved, examples, query }) {
  const key = `${source.kind}/${source.name}`;
  const place = (run) =>
    address(["create", source.kind, ...(source.name ? [source.name] : [])], run ? { run } : {});
  const names = new Map(sheet.nodes.map((node) => [node.id, node.title]));
  const nameOf = (node) => names.get(node) || names.get(node.split(":")[0]) || node;
  const again = source.kind === "run" || source.kind === "file";
  const form = makeForm(sheet, {
    fresh: !again,
    onchange: () => drafts.keep(key, form.state()),
    oncorrected: (nodes) => nodes.forEach((node) => graph.forgive(node)),
  });
  const draft = drafts.kept(key);
  if (draft) form.restore(draft);
  const problems = sheet.problems.filter((problem) => !form.unfilled(problem));
  const graph = drawGraph({ ...sheet, problems });
  const firstTime = el(
    "div",
    { class: "hint-card" },
    el("p", { class: "big" }, "Your picture will appear here."),
    el("p", { class: "muted" }, "Change what you like, then press Run. Nothing leaves this server."),
  );
  let reported = null;
  const stage = makeStage({
    nameOf,
    empty: firstTime,
    onstanding(standing) {
      graph.update(standing);
      if (standing.failures.length && reported !== standing.run) {
        reported = standing.run;
        form.show(
          "The run failed",
          standing.failures.map((failure) => ({ ...failure, node: failure.node.split(":")[0] })),
          nameOf,
          false,
        );
        graph.select(standing.failures[0].node.split(":")[0]);
      }
    },
    onended: () => refreshQueue(),
  });
  const run = el(
    "button",
    { type: "submit", class: "primary run", disabled: sheet.document === null },
    "Run",
  );
  const submitForm = async (event) => {
    event.preventDefault();
    if (sheet.document === null || run.hasAttribute("aria-disabled")) return;
    run.setAttribute("aria-disabled", "true");
    try {
      if (!(await form.prepare())) return;
      drafts.keep(key, form.state());
      const workflow = source.kind === "saved" ? JSON.stringify(source.name) : sheet.document;
      const accepted = await submit(workflow, form.changes());
      graph.report([]);
      say("The run is in the queue.");
      drafts.remember(source);
      note(place(accepted.id));
      stage.show(accepted.id);
      refreshQueue();
      if (matchMedia("(max-width: 60rem)").matches) stage.element.scrollIntoView({ block: "start" });
    } catch (error) {
      form.show(
        error.problems && error.problems.length ? "It cannot run like this" : "It could not be sent",
        error.problems?.length ? error.problems : [{ message: error.message, code: error.code }],
        nameOf,
      );
      graph.report(error.problems || []);
      if (error.problems?.[0]?.node) graph.select(error.problems[0].node);
    } finally {
      run.removeAttribute("aria-disabled");
    }
  };
  const reset = () => {
    drafts.drop(key);
    go(place());
  };
  const formElement = el(
    "form",
    {
      class: "panel",
      novalidate: true,
      onsubmit: submitForm,
      "aria-label": "Settings",
      onkeydown: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submitForm(event);
      },
    },
    form.element,
    form.empty && el("p", { class: "muted" }, "This workflow asks for nothing."),
    el(
      "div",
      { class: "actions sticky" },
      run,
      el("button", { type: "button", class: "quiet", onclick: reset }, "Reset"),
      el("span", { class: "hint keys" }, "Ctrl + Enter"),
    ),
  );
  if (problems.length) form.show("This workflow cannot run as it is", problems, nameOf, false);

  const element = el(
    "div",
    { class: "create" },
    el(
      "div",
      { class: "head" },
      el("h1", {}, sheet.title || heading(source)),
      sheet.description && el("p", { class: "lead" }, sheet.description),
      workflowBar({ source, sheet, saved, examples, form }),
    ),
    formElement,
    el(
      "div",
      { class: "side" },
      stage.element,
      el(
        "details",
        { class: "panel how", open: true },
        el("summary", {}, el("h2", {}, "How it is made")),
        graph.element,
      ),
    ),
  );
  if (query.get("run")) stage.show(query.get("run"));
  return {
    element,
    title: sheet.title || heading(source),
    close: () => stage.close(),
    takePicture: form.takePicture,
  };
}

function heading(source) {
  return { run: "Run again with changes", file: "From a file", saved: source.name, example: source.name }[
    source.kind
  ];
}
