// Starts the page: signs in, shows the place that the address names, keeps the queue's count.

import { get, onReach, send } from "./api.js";
import { el, fill } from "./dom.js";
import { createView } from "./create-view.js";
import { startTokens } from "./dialogs.js";
import { keptOpened } from "./drafts.js";
import { galleryView } from "./gallery-view.js";
import { startOpening } from "./opening.js";
import { startQueue, watchQueue } from "./queue.js";
import { queueView, showCount } from "./queue-view.js";
import { here } from "./router.js";
import { runView } from "./run-view.js";
import { startTheme } from "./theme.js";

const SLOW_MS = 250;
const main = document.getElementById("main");
let view = { close() {} };
let turn = 0;

async function show(about, focus) {
  const { parts, query } = here();
  const mine = (turn += 1);
  const name = parts[0] || "create";
  mark(name === "run" ? "gallery" : name);
  const slow = setTimeout(() => fill(main, el("p", { class: "loading" }, "Loading…")), SLOW_MS);
  let next;
  try {
    next = await made(name, parts.slice(1), query, about);
  } catch (error) {
    next = { element: trouble(error), title: "graphcore", close() {} };
  }
  clearTimeout(slow);
  if (mine !== turn) {
    next.close();
    return;
  }
  view.close();
  view = next;
  fill(main, next.element);
  document.title = `${next.title} · graphcore`;
  if (focus) {
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function made(name, rest, query, about) {
  if (name === "queue") return queueView(about);
  if (name === "gallery") return galleryView();
  if (name === "run") return runView(rest[0] || "");
  return createView(rest, query, keptOpened);
}

function trouble(error) {
  return el(
    "div",
    { class: "empty" },
    el("h1", {}, "This cannot be shown"),
    el("p", {}, error.message || String(error)),
    error.code && el("p", {}, el("code", {}, error.code)),
    el(
      "div",
      { class: "actions center" },
      el("button", { type: "button", onclick: () => location.reload() }, "Try again"),
      el("a", { class: "button", href: "#/" }, "Create"),
    ),
  );
}

function mark(name) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  startTheme(document.getElementById("theme"));
  startTokens();
  onReach((reached) => {
    document.getElementById("offline").hidden = reached;
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  const about = await reached();
  document.getElementById("editor").hidden = !about.editor;
  document.getElementById("version").textContent = `graphcore ${about.version}`;
  const leave = document.getElementById("sign-out");
  leave.hidden = !about.token;
  leave.addEventListener("click", () => send("DELETE", "/api/v1/session").finally(() => location.reload()));
  startOpening({
    button: document.getElementById("open"),
    picker: document.getElementById("file"),
    veil: document.getElementById("drop"),
    takePicture: (file) => Boolean(view.takePicture && view.takePicture(file)),
  });
  window.addEventListener("hashchange", () => show(about, true));
  await show(about, false);
  watchQueue(showCount);
  startQueue();
}

/** What the server says of itself, once it answers. */
async function reached() {
  for (;;) {
    try {
      return await get("/page/about");
    } catch (error) {
      if (error.status !== 0) {
        fill(main, trouble(error));
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

start();
