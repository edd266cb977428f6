// Follows runs by their events: one stream a run, however many look at it. A stream that breaks goes on where it was.

import { get } from "./api.js";

const PICTURE = /^image\/(png|jpeg|webp|gif)$/;
const TOLD_MS = 60;
const AGAIN_MS = 2000;
const followed = new Map();

/** Tell `listener` how a run stands, now and whenever that changes; returns how to end it. */
export function follow(run, listener) {
  let follower = followed.get(run);
  if (!follower) {
    follower = new Follower(run);
    followed.set(run, follower);
  }
  follower.listeners.add(listener);
  listener(follower.standing);
  return () => {
    follower.listeners.delete(listener);
    if (!follower.listeners.size) {
      follower.close();
      followed.delete(run);
    }
  };
}

/** Nobody looks at a hidden page: its streams are closed, and opened again when it is seen. */
document.addEventListener("visibilitychange", () => {
  for (const follower of followed.values()) {
    if (document.hidden) follower.close();
    else if (!follower.over) follower.open();
  }
});

/** How a run stands before anything is known of it. */
function unknown(run) {
  return {
    run,
    state: "queued",
    nodes: new Map(),
    count: 0,
    current: null,
    preview: null,
    shown: [],
    failures: [],
    error: null,
    started: null,
    seconds: null,
    connected: true,
    requeued: null,
    gone: false,
  };
}

class Follower {
  constructor(run) {
    this.run = run;
    this.standing = unknown(run);
    this.listeners = new Set();
    this.last = -1;
    this.timer = 0;
    this.again = 0;
    this.over = false;
    if (!document.hidden) this.open();
  }

  open() {
    this.close();
    this.source = new EventSource(`/api/v1/runs/${this.run}/events?previews=true`);
    this.source.addEventListener("open", () => this.connected(true));
    this.source.addEventListener("error", () => this.broken());
    for (const kind of Object.keys(TAKEN)) {
      this.source.addEventListener(kind, (event) => this.take(kind, JSON.parse(event.data)));
    }
  }

  close() {
    if (this.source) this.source.close();
    clearTimeout(this.again);
  }

  connected(yes) {
    if (this.standing.connected !== yes) {
      this.standing.connected = yes;
      this.tell();
    }
  }

  broken() {
    this.connected(false);
    if (this.source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.again);
    this.again = setTimeout(() => this.reopen(), AGAIN_MS);
  }

  /** The browser has given up: ask why (the token may be wanted), then begin anew. */
  async reopen() {
    try {
      await get(`/page/runs/${this.run}`);
    } catch (error) {
      if (error.status === 404) {
        this.standing.gone = true;
        this.over = true;
        this.tell();
        return;
      }
    }
    if (this.listeners.size && !document.hidden) this.open();
  }

  take(kind, data) {
    if (data.number !== undefined) {
      if (data.number <= this.last) return;
      this.last = data.number;
    }
    TAKEN[kind](this.standing, data);
    if (kind === "run-finished") {
      this.over = true;
      this.source.close();
    }
    this.tell();
  }

  tell() {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.listeners.forEach((listener) => listener(this.standing));
    }, TOLD_MS);
  }
}

const TAKEN = {
  "run-queued": (standing) => {
    standing.state = "queued";
  },
  "run-requeued": (standing, data) => {
    Object.assign(standing, unknown(standing.run), { requeued: data.reason || "its worker was lost" });
  },
  "run-started": (standing, data) => {
    const { requeued } = standing;
    Object.assign(standing, unknown(standing.run), {
      state: "running",
      count: data.nodes,
      started: data.time,
      requeued,
    });
  },
  "nodes-cached": (standing, data) => {
    for (const node of data.nodes) standing.nodes.set(node, { state: "cached" });
  },
  "node-started": (standing, data) => {
    standing.nodes.set(data.node, { state: "running", done: 0, total: 0 });
    standing.current = data.node;
  },
  "node-progress": (standing, data) => {
    standing.nodes.set(data.node, { state: "running", done: data.done, total: data.total });
    standing.current = data.node;
    standing.state = "running";
  },
  preview: (standing, data) => {
    if (PICTURE.test(data.media_type)) standing.preview = `data:${data.media_type};base64,${data.data}`;
  },
  "node-finished": (standing, data) => {
    standing.nodes.set(data.node, { state: data.cached ? "cached" : "done", seconds: data.seconds });
    for (const item of data.shown) standing.shown.push({ node: data.node, ...item });
  },
  "node-failed": (standing, data) => {
    standing.nodes.set(data.node, { state: "failed", error: data.error });
    standing.failures.push({
      node: data.node,
      code: data.error.code,
      message: data.error.message,
      input: data.error.input,
    });
  },
  "node-skipped": (standing, data) => {
    standing.nodes.set(data.node, { state: "skipped", reason: data.reason });
  },
  "run-finished": (standing, data) => {
    Object.assign(standing, { state: data.state, error: data.error, seconds: data.seconds, current: null });
    for (const entry of standing.nodes.values()) if (entry.state === "running") entry.state = "stopped";
  },
};
