// The queue: what runs, with its progress and preview; what waits; what has ended lately.

import { cancel, get, send } from "./api.js";
import { warn } from "./announce.js";
import { el, fill, keepFocus } from "./dom.js";
import { follow } from "./follow.js";
import { openRuns, refreshQueue, watchQueue } from "./queue.js";
import { address } from "./router.js";
import { previewOf, progressBar } from "./stage.js";
import { STATES, ago, count, duration, mediaKind, titleOf, took } from "./words.js";

const FOLLOWED = 2;
const LATELY = 12;

/** The view. */
export async function queueView(about) {
  const running = el("div", { class: "rows" });
  const waiting = el("ol", { class: "rows" });
  const lately = el("ul", { class: "rows" });
  const workers = el("p", { class: "muted workers" });
  const pause = el("button", { type: "button", hidden: !about.owner });
  const following = new Map();
  let before = null;
  let names = new Map();

  const recent = async () => {
    const { runs } = await get(`/page/runs?limit=${LATELY}`);
    fill(lately, runs.length ? runs.map(endedRow) : el("li", { class: "muted" }, "Nothing has run yet."));
  };
  const show = (queue) => {
    const signature = JSON.stringify([
      queue.running.map((run) => run.id),
      queue.waiting.map((run) => run.id),
      queue.more,
    ]);
    pause.textContent = queue.paused ? "Go on" : "Pause";
    pause.onclick = () =>
      send("POST", `/api/v1/queue/${queue.paused ? "resume" : "pause"}`).then(refreshQueue, (error) =>
        warn(error.message),
      );
    fill(workers, workersLine(queue));
    if (signature === before) return;
    if (before !== null) recent().catch(() => {});
    before = signature;
    keepFocus(() => {
      showRunning(queue.running);
      fill(
        waiting,
        queue.waiting.length
          ? queue.waiting.map(waitingRow)
          : el("li", { class: "muted" }, "Nothing is waiting."),
        queue.more > 0 && el("li", { class: "muted" }, `and ${queue.more} more`),
      );
    });
  };
  const showRunning = (runs) => {
    const there = new Set(runs.map((run) => run.id));
    for (const [id, entry] of following)
      if (!there.has(id)) {
        entry.end();
        following.delete(id);
      }
    runs.forEach((run, index) => {
      if (!following.has(run.id))
        following.set(run.id, runningRow(run, index < FOLLOWED, nameOfNode(names, run.id)));
    });
    fill(
      running,
      runs.length
        ? runs.map((run) => following.get(run.id).element)
        : el("p", { class: "muted" }, "Nothing is running."),
    );
  };
  await recent();
  const unwatch = watchQueue(show);
  refreshQueue();
  const element = el(
    "div",
    { class: "queue" },
    el("div", { class: "head" }, el("h1", {}, "Queue"), el("div", { class: "toolbar" }, workers, pause)),
    section("Running", running),
    section("Waiting", waiting),
    section("Ended lately", lately),
  );
  return {
    element,
    title: "Queue",
    close() {
      unwatch();
      following.forEach((entry) => entry.end());
      names = new Map();
    },
  };
}

/** Count the runs that have not ended, at the link to the queue. */
export function showCount(queue) {
  const badge = document.getElementById("count");
  const open = openRuns(queue);
  badge.hidden = open === 0;
  badge.textContent = String(open);
  badge.setAttribute("aria-label", `${count(open, "run")} not ended`);
}

function section(title, content) {
  return el("section", { class: "panel" }, el("h2", {}, title), content);
}

function runningRow(run, live, nameOf) {
  const picture = el("div", { class: "thumb" });
  const line = el("p", { class: "line muted" });
  const bar = el("div", {});
  const element = el(
    "div",
    { class: "row", "data-run": run.id },
    picture,
    el("div", { class: "grow" }, name(run), line, bar),
    cancelButton(run),
  );
  const end = live
    ? follow(run.id, (standing) => {
        const told = progressBar(standing, nameOf);
        line.textContent = told.line;
        fill(bar, told.element);
        if (standing.preview) fill(picture, previewOf(standing));
      })
    : () => {};
  if (!live) fill(bar, el("progress", { "aria-label": "Progress" }));
  return { element, end };
}

function nameOfNode(names, run) {
  if (!names.has(run)) {
    names.set(run, new Map());
    get(`/page/runs/${run}/sheet`).then(
      (sheet) => sheet.nodes.forEach((node) => names.get(run).set(node.id, node.title)),
      () => {},
    );
  }
  return (node) => names.get(run).get(node) || names.get(run).get(node.split(":")[0]) || node;
}

function waitingRow(run) {
  return el(
    "li",
    { class: "row", "data-run": run.id },
    el("span", { class: "place" }, String(run.place + 1)),
    el("div", { class: "grow" }, name(run), el("p", { class: "line muted" }, `since ${ago(run.created)}`)),
    cancelButton(run),
  );
}

function endedRow(run) {
  const output = run.outputs.find((entry) => mediaKind(entry.name) === "image");
  const seconds = took(run);
  const facts = [
    el("span", { class: `state ${run.state}` }, STATES[run.state]),
    seconds !== null && duration(seconds),
    ago(run.finished),
  ];
  return el(
    "li",
    { class: "row", "data-run": run.id },
    el(
      "div",
      { class: "thumb" },
      output && el("img", { src: `${output.url}?size=160`, alt: "", loading: "lazy" }),
    ),
    el(
      "div",
      { class: "grow" },
      name(run),
      el(
        "p",
        { class: "line muted" },
        facts.filter(Boolean).map((fact) => (typeof fact === "string" ? el("span", {}, fact) : fact)),
      ),
      run.state === "failed" && run.error && el("p", { class: "error" }, run.error.message),
    ),
    el(
      "a",
      {
        class: "button",
        href: address(["create", "run", run.id]),
        "aria-label": `Run again with changes: ${titleOf(run)}`,
      },
      "Run again",
    ),
  );
}

function name(run) {
  return el(
    "p",
    { class: "name" },
    el("a", { href: address(["run", run.id]) }, titleOf(run)),
    run.prompt && el("span", { class: "prompt" }, run.prompt),
  );
}

function cancelButton(run) {
  const press = (event) => {
    event.target.setAttribute("aria-disabled", "true");
    cancel(run.id).then(refreshQueue, (error) => {
      event.target.removeAttribute("aria-disabled");
      warn(error.message);
    });
  };
  return el(
    "button",
    { type: "button", class: "danger", "aria-label": `Cancel ${titleOf(run)}`, onclick: press },
    "Cancel",
  );
}

function workersLine(queue) {
  if (queue.paused) return "Paused: what runs goes on, what waits does not begin.";
  return queue.workers
    .map(
      (worker) =>
        `${worker.device || worker.name}: ${worker.trouble || (worker.ready ? "ready" : "starting")}`,
    )
    .join(" · ");
}
