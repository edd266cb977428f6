// The gallery: every picture that was made, newest first.

import { get } from "./api.js";
import { say } from "./announce.js";
import { el, fill } from "./dom.js";
import { openRuns, watchQueue } from "./queue.js";
import { address } from "./router.js";
import { ago, count, mediaKind, titleOf } from "./words.js";

const PAGE = 24;
const SIZE = 384;

/** The view. */
export async function galleryView() {
  const grid = el("ul", { class: "grid" });
  const more = el("button", { type: "button", hidden: true }, "Show more");
  const known = new Set();
  let next = null;
  let open = null;

  const tiles = (runs) =>
    runs
      .filter((run) => !known.has(run.id))
      .flatMap((run) => {
        known.add(run.id);
        return run.outputs
          .filter((output) => mediaKind(output.name) !== "other")
          .map((output) => tile(run, output));
      });
  const load = async (after) => {
    const page = await get(`/page/runs?pictures=true&limit=${PAGE}${after ? `&after=${after}` : ""}`);
    return { made: tiles(page.runs), next: page.next };
  };
  more.addEventListener("click", async () => {
    more.disabled = true;
    const page = await load(next).finally(() => {
      more.disabled = false;
    });
    grid.append(...page.made);
    next = page.next;
    more.hidden = !next;
    say(`${count(page.made.length, "picture")} more`);
    if (page.made.length) page.made[0].querySelector("a").focus();
  });
  const first = await load(null);
  next = first.next;
  more.hidden = !next;
  const empty = el(
    "div",
    { class: "empty" },
    el("p", { class: "big" }, "No pictures yet."),
    el("p", { class: "muted" }, "Each picture will be here with its prompt, its settings and its graph."),
    el("a", { class: "button primary", href: "#/" }, "Make the first one"),
  );
  fill(grid, first.made);
  empty.hidden = first.made.length > 0;
  const unwatch = watchQueue((queue) => {
    const present = openRuns(queue);
    if (open !== null && present !== open)
      load(null).then(
        ({ made }) => {
          grid.prepend(...made);
          empty.hidden ||= made.length > 0;
        },
        () => {},
      );
    open = present;
  });
  return {
    element: el(
      "div",
      { class: "gallery" },
      el("div", { class: "head" }, el("h1", {}, "Gallery")),
      empty,
      grid,
      el("div", { class: "actions center" }, more),
    ),
    title: "Gallery",
    close: unwatch,
  };
}

function tile(run, output) {
  const video = mediaKind(output.name) === "video";
  const seen = video
    ? el("video", { src: output.url, muted: true, preload: "metadata" })
    : el("img", {
        src: `${output.url}?size=${SIZE}`,
        alt: run.prompt || output.name,
        loading: "lazy",
        decoding: "async",
      });
  seen.addEventListener(
    "error",
    () => seen.replaceWith(el("span", { class: "missing" }, "not there any more")),
    { once: true },
  );
  return el(
    "li",
    {},
    el(
      "a",
      { class: "tile", href: address(["run", run.id]) },
      el("span", { class: "frame" }, seen),
      el("span", { class: "caption" }, run.prompt || titleOf(run)),
      el("span", { class: "muted" }, ago(run.finished)),
    ),
  );
}
