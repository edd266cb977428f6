// One run, live: what it makes, how far it is, how it ended, and what went wrong.

import { cancel, get } from "./api.js";
import { say, warn } from "./announce.js";
import { el, fill } from "./dom.js";
import { follow } from "./follow.js";
import { hindrance, watchQueue } from "./queue.js";
import { address } from "./router.js";
import { STATES, ago, count, duration, mediaKind, took } from "./words.js";

const QUARTER = 25;
const SMALLEST = 512;

/** A stage. `nameOf` says what a node is called, `onstanding` is told how the run stands, `empty` fills it before. */
export function makeStage({
  nameOf,
  onstanding = () => {},
  onended = () => {},
  empty = null,
  linked = true,
}) {
  const screen = el("div", { class: "screen" }, empty);
  const status = el("div", { class: "status" });
  const element = el("section", { class: "stage", "aria-label": "The run", tabindex: -1 }, screen, status);
  let run = null;
  let card = null;
  let standing = null;
  let told = {};
  let unfollow = () => {};
  const unwatch = watchQueue(() => {
    if (standing && standing.state === "queued") showStatus();
  });
  const ticking = setInterval(() => {
    if (standing && standing.state === "running") showStatus();
  }, 1000);

  const show = (next) => {
    if (next === run) return;
    unfollow();
    [run, card, told] = [next, null, {}];
    if (!next) {
      standing = null;
      fill(screen, empty);
      fill(status);
      return;
    }
    unfollow = follow(next, (present) => {
      if (run !== next) return;
      standing = present;
      draw();
    });
    get(`/page/runs/${next}`).then((known) => {
      if (run === next && !card) {
        card = known;
        draw();
      }
    }, missing);
  };

  const missing = (error) => {
    if (error.status === 404) fill(status, el("p", { class: "muted" }, "This run is not here any more."));
  };

  const draw = () => {
    if (standing.gone) {
      missing({ status: 404 });
      return;
    }
    if (ended() && (!card || !card.finished)) load();
    showScreen();
    showStatus();
    announce();
    onstanding(standing);
  };

  const ended = () => !["queued", "running"].includes(standing.state);
  const load = async () => {
    const asked = run;
    if (told.loading) return;
    told.loading = true;
    try {
      const known = await get(`/page/runs/${asked}`);
      if (run !== asked) return;
      card = known;
      draw();
      onended(card, standing);
    } catch (error) {
      told.loading = false;
      missing(error);
    }
  };

  const showScreen = () => {
    const texts = standing.shown.filter((item) => typeof item.text === "string");
    const parts = card && card.finished ? card.outputs.map((output) => media(output, card, linked)) : [];
    if (!parts.length && standing.preview && !ended()) parts.push(previewOf(standing));
    parts.push(
      ...texts.map((item) =>
        el("figure", { class: "said" }, el("figcaption", {}, nameOf(item.node)), el("pre", {}, item.text)),
      ),
    );
    const key = JSON.stringify([
      card && card.finished,
      texts.length,
      parts.length,
      Boolean(standing.preview),
      ended(),
    ]);
    if (standing.preview && !ended() && key === told.screen) {
      const image = screen.querySelector(".preview");
      if (image) image.src = standing.preview;
      return;
    }
    if (key === told.screen) return;
    told.screen = key;
    fill(screen, parts.length ? parts : placeholder(standing, ended()));
  };

  const press = () => {
    if (button.hasAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    cancel(run).catch((error) => {
      button.removeAttribute("aria-disabled");
      warn(error.message);
    });
  };
  const button = el("button", { type: "button", class: "danger", onclick: press }, "Cancel");
  const line = el("p", { class: "line" });
  const bar = el("div", {});
  const hints = el("div", { class: "hint" });
  const row = el("div", { class: "progress-row" }, el("div", { class: "grow" }, line, bar, hints), button);
  const showStatus = () => {
    if (ended()) {
      const watched = status.contains(document.activeElement);
      fill(status, conclusion(standing, card, nameOf));
      if (watched) element.focus({ preventScroll: true });
      return;
    }
    const progress = progressBar(standing, nameOf);
    line.textContent = standing.state === "queued" ? waitingLine(card, standing) : progress.line;
    fill(bar, progress.element);
    fill(
      hints,
      !standing.connected && el("p", {}, "The connection is lost; trying again…"),
      standing.requeued && el("p", {}, `It was begun anew: ${standing.requeued}.`),
    );
    if (!row.isConnected) {
      button.removeAttribute("aria-disabled");
      fill(status, row);
    }
  };

  const announce = () => {
    if (told.state !== standing.state) {
      if (standing.state === "running") say("The run has begun.");
      if (standing.state === "succeeded")
        say(`Done${standing.seconds === null ? "" : ` in ${duration(standing.seconds)}`}.`);
      if (standing.state === "failed")
        warn(`The run failed. ${standing.error ? standing.error.message : ""}`);
      if (standing.state === "cancelled") say("The run was cancelled.");
    }
    const entry = standing.nodes.get(standing.current);
    const quarter =
      entry && entry.total > 3 ? Math.floor(((entry.done / entry.total) * 100) / QUARTER) * QUARTER : 0;
    if (standing.state === "running" && quarter && quarter !== told.quarter) say(`${quarter} percent`);
    told.state = standing.state;
    told.quarter = quarter;
  };

  return {
    element,
    show,
    close() {
      clearInterval(ticking);
      unwatch();
      unfollow();
    },
  };
}

/** A bar of how far a run is, and the same in words. */
export function progressBar(standing, nameOf) {
  const entry = standing.nodes.get(standing.current);
  const over = [...standing.nodes.values()].filter(
    (node) => node.state === "done" || node.state === "cached",
  ).length;
  const element = el("progress", { "aria-label": "Progress" });
  let line = standing.state === "queued" ? "Waiting" : "Starting…";
  if (entry && entry.state === "running") {
    line = nameOf(standing.current);
    if (entry.total > 0) {
      element.max = entry.total;
      element.value = entry.done;
      line += `, step ${entry.done} of ${entry.total}`;
    }
  } else if (standing.count) {
    element.max = standing.count;
    element.value = Math.min(over, standing.count);
    line = `${Math.min(over, standing.count)} of ${count(standing.count, "node")}`;
  }
  if (standing.started) line += ` · ${duration(Math.max(0, Date.now() / 1000 - standing.started))}`;
  return { element, line };
}

/** An output of a run: a picture, a film, or a file to fetch. */
function media(output, card, linked, size = 0) {
  const kind = mediaKind(output.name);
  if (kind === "video")
    return el("video", { src: output.url, controls: true, loop: true, muted: true, playsinline: true });
  if (kind === "other")
    return el("a", { class: "button", href: output.url, download: output.name }, `Save ${output.name}`);
  const image = el("img", {
    src: size ? `${output.url}?size=${size}` : output.url,
    alt: card.prompt || output.name,
    decoding: "async",
  });
  image.addEventListener("load", () => {
    image.style.width = `min(100%, ${Math.max(image.naturalWidth, SMALLEST)}px)`;
  });
  image.addEventListener("error", () =>
    image.replaceWith(el("p", { class: "muted" }, `${output.name} is not there any more.`)),
  );
  return linked
    ? el("a", { href: address(["run", card.id]), class: "picture" }, image)
    : el("a", { href: output.url, target: "_blank", rel: "noopener", class: "picture" }, image);
}

/** The latest preview of a run. */
export function previewOf(standing) {
  const image = el("img", { class: "preview", src: standing.preview, alt: "What is being made, unfinished" });
  image.addEventListener("error", () => {
    image.hidden = true;
  });
  image.addEventListener("load", () => {
    image.hidden = false;
  });
  return image;
}

function placeholder(standing, over) {
  if (standing.state === "failed") return el("p", { class: "muted big" }, "No picture was made.");
  if (standing.state === "cancelled")
    return el("p", { class: "muted big" }, "Cancelled before there was a picture.");
  if (over) return el("p", { class: "muted big" }, "This run shows no pictures.");
  return el("div", { class: "pulse", role: "img", "aria-label": "Waiting for the first picture" });
}

function waitingLine(card, standing) {
  if (standing.requeued) return "Waiting for another try";
  if (hindrance()) return hindrance();
  if (!card || card.place === null) return "Waiting for its turn";
  return card.place === 0 ? "Next in the queue" : `Waiting; ${count(card.place, "run")} before it`;
}

function conclusion(standing, card, nameOf) {
  const parts = [el("span", { class: `state ${standing.state}` }, STATES[standing.state])];
  const seconds = standing.seconds ?? (card && took(card));
  if (seconds !== null && seconds !== undefined && standing.state !== "cancelled")
    parts.push(el("span", {}, duration(seconds)));
  if (card && card.finished) parts.push(el("span", { class: "muted" }, ago(card.finished)));
  const failures = standing.failures.length
    ? standing.failures
    : standing.state === "failed" && standing.error
      ? [{ ...standing.error, node: standing.error.node }]
      : [];
  return [
    el("p", { class: "line" }, parts),
    failures.map((failure) =>
      el(
        "div",
        { class: "failure" },
        failure.node && el("strong", {}, nameOf(failure.node)),
        el("p", {}, failure.message),
        el("code", {}, failure.code),
      ),
    ),
  ];
}
