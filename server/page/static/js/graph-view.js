// Draws a workflow's graph, shows how its nodes stand, and lets people walk through it with the arrow keys.

import { el, fill, svg, uniqueId } from "./dom.js";
import { layOut } from "./graph-layout.js";
import { duration } from "./words.js";

const MOST = 600;
const MARGIN = 8;
const READABLE = 0.66;
const LETTERS = 20;
const KINDS = new Set(["MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK"]);
const MARKS = { done: "✓", cached: "✓", failed: "!", running: "…", skipped: "–", stopped: "–" };
const TOLD = {
  done: "done",
  cached: "taken from before",
  failed: "failed",
  running: "running",
  skipped: "not run",
  stopped: "stopped",
};

/** A drawing of a sheet's nodes and links, with what the chosen node holds below. */
export function drawGraph(sheet) {
  const about = el("div", { class: "node-about", id: uniqueId("node") });
  if (!sheet.size) return undrawn("The workflow has no nodes.");
  if (sheet.size > MOST) {
    return undrawn(`The graph has ${sheet.size} nodes, too many to draw.`);
  }
  const placed = layOut(
    sheet.nodes.map((node) => node.id),
    sheet.links,
  );
  const problems = new Map();
  const report = (found) => {
    problems.clear();
    for (const problem of found)
      if (problem.node) problems.set(problem.node, [...(problems.get(problem.node) || []), problem]);
  };
  report(sheet.problems);
  const drawn = new Map();
  let standing = null;
  let chosen = null;

  for (const node of sheet.nodes) drawn.set(node.id, drawNode(node, placed.nodes.get(node.id)));
  const width = placed.width + 2 * MARGIN;
  const height = placed.height + 2 * MARGIN;
  const picture = svg(
    "svg",
    {
      viewBox: `${-MARGIN} ${-MARGIN} ${width} ${height}`,
      role: "group",
      "aria-label": `The graph: ${sheet.nodes.length} nodes. Arrow keys go from node to node.`,
    },
    svg(
      "g",
      { class: "links" },
      placed.links.map((points, index) => points && drawLink(points, sheet.links[index])),
    ),
    svg(
      "g",
      { class: "nodes" },
      [...drawn.values()].map((entry) => entry.element),
    ),
  );
  picture.style.width = `max(${Math.round(width * READABLE)}px, min(100%, ${width}px))`;
  const frame = el("div", { class: "graph-frame" }, picture);

  const stateOf = (id) => {
    const known = standing && standing.nodes.get(id);
    const failure =
      standing && standing.failures.find((entry) => entry.node === id || entry.node.startsWith(`${id}:`));
    if (failure) return { state: "failed", error: failure };
    if (problems.has(id)) return { state: "failed", error: problems.get(id)[0], all: problems.get(id) };
    return known || { state: standing && standing.state === "running" ? "waiting" : "" };
  };
  const show = () => {
    for (const node of sheet.nodes) drawn.get(node.id).show(stateOf(node.id));
    if (chosen)
      tellOf(
        about,
        sheet.nodes.find((node) => node.id === chosen),
        stateOf(chosen),
      );
  };
  const select = (id, focus = false) => {
    if (!drawn.has(id)) return;
    for (const [other, entry] of drawn) {
      entry.element.setAttribute("tabindex", other === id ? "0" : "-1");
      entry.element.classList.toggle("chosen", other === id);
      entry.element.setAttribute("aria-pressed", String(other === id));
    }
    chosen = id;
    if (focus) drawn.get(id).element.focus();
    show();
  };
  picture.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-node]");
    if (hit) select(hit.dataset.node, true);
  });
  picture.addEventListener("keydown", (event) => {
    const from = event.target.closest("[data-node]");
    if (!from) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      select(from.dataset.node);
      return;
    }
    const next = neighbour(placed.nodes, from.dataset.node, event.key);
    if (!next) return;
    event.preventDefault();
    select(next, true);
  });
  drawn.get(sheet.nodes[0].id).element.setAttribute("tabindex", "0");
  show();
  return {
    element: el("div", { class: "graph" }, frame, about),
    select,
    /** Show these problems at their nodes, and no others. */
    report(found) {
      report(found);
      show();
    },
    /** Something was done about a node's problems. */
    forgive(node) {
      if (problems.delete(node)) show();
    },
    update(next) {
      standing = next;
      show();
    },
  };
}

function undrawn(sentence) {
  return {
    element: el("p", { class: "muted" }, sentence),
    update() {},
    select() {},
    report() {},
    forgive() {},
  };
}

function drawNode(node, place) {
  const label = svg("text", { x: 14, y: 24, class: "name", "aria-hidden": "true" }, shortened(node.title));
  const second = node.type === node.title ? node.category || node.id : node.type;
  const kind = svg("text", { x: 14, y: 42, class: "kind", "aria-hidden": "true" }, shortened(second));
  const mark = svg("text", {
    x: place.width - 12,
    y: 43,
    class: "mark",
    "text-anchor": "end",
    "aria-hidden": "true",
  });
  const bar = svg("rect", { x: 0, y: place.height - 4, width: 0, height: 4, class: "done" });
  const name = svg("title", {});
  const clip = uniqueId("clip");
  const element = svg(
    "g",
    {
      class: "node",
      transform: `translate(${place.x} ${place.y})`,
      "data-node": node.id,
      role: "button",
      tabindex: -1,
      "aria-pressed": "false",
    },
    svg("clipPath", { id: clip }, svg("rect", { width: place.width, height: place.height, rx: 9 })),
    svg("rect", { width: place.width, height: place.height, rx: 9, class: "body" }),
    svg("g", { "clip-path": `url(#${clip})` }, bar),
    label,
    kind,
    mark,
    name,
  );
  return {
    element,
    show(entry) {
      const { state } = entry;
      element.dataset.state = node.known || state ? state : "unknown";
      mark.textContent = MARKS[state] || "";
      const share = state === "running" && entry.total ? entry.done / entry.total : 0;
      bar.setAttribute("width", String(share * place.width));
      name.textContent = [`${node.title} ${second}`, TOLD[state], entry.error && entry.error.message]
        .filter(Boolean)
        .join(", ");
      element.setAttribute("aria-label", name.textContent);
    },
  };
}

function drawLink(points, link) {
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let step = 1; step < points.length; step += 1) {
    const [[fromX, fromY], [x, y]] = [points[step - 1], points[step]];
    const bend = Math.max(24, Math.abs(x - fromX) / 2);
    path += fromY === y && x > fromX ? `L${x} ${y}` : `C${fromX + bend} ${fromY} ${x - bend} ${y} ${x} ${y}`;
  }
  const kind = KINDS.has(link.kind) ? link.kind.toLowerCase() : "other";
  return svg("path", { d: path, class: `link ${kind}` }, svg("title", {}, `${link.output} → ${link.input}`));
}

function tellOf(about, node, entry) {
  const values = Object.entries(node.values);
  const faults = entry.all || (entry.error ? [entry.error] : []);
  const state =
    TOLD[entry.state] &&
    (entry.seconds !== undefined && entry.state === "done"
      ? `${TOLD[entry.state]} in ${duration(entry.seconds)}`
      : TOLD[entry.state]);
  fill(
    about,
    el("h3", {}, node.title, " ", el("code", {}, node.type)),
    !node.known && el("p", { class: "error" }, "This node type is not installed here."),
    faults.map((fault) => el("p", { class: "error" }, fault.message, " ", el("code", {}, fault.code))),
    state && !faults.length && el("p", {}, `${state[0].toUpperCase()}${state.slice(1)}.`),
    entry.reason && el("p", {}, entry.reason),
    node.description && el("p", { class: "muted" }, node.description),
    values.length > 0 &&
      el(
        "dl",
        {},
        values.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value === "" ? "(empty)" : value)]),
      ),
  );
}

function neighbour(places, id, key) {
  const from = places.get(id);
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (!step) return null;
  let best = null;
  let least = Infinity;
  for (const [other, place] of places) {
    const across = (place.layer - from.layer) * step[0];
    const down = (place.y - from.y) * step[1];
    if (step[0] ? across <= 0 : down <= 0 || place.layer !== from.layer) continue;
    const far = step[0] ? across * 1000 + Math.abs(place.y - from.y) : down;
    if (far < least) [best, least] = [other, far];
  }
  return best;
}

function shortened(text) {
  return text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text;
}
