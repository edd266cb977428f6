// The queue as the server has it, asked for while somebody looks; tells who listens.

import { get } from "./api.js";

const BUSY_MS = 1500;
const IDLE_MS = 4000;
const listeners = new Set();
let present = null;
let timer = 0;
let asking = false;

/** Be told of the queue, now and whenever it has been asked for; returns how to end it. */
export function watchQueue(listener) {
  listeners.add(listener);
  if (present) listener(present);
  return () => listeners.delete(listener);
}

/** Ask at once. */
export async function refreshQueue() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    present = await get("/page/queue");
    listeners.forEach((listener) => listener(present));
  } catch {
    // The banner tells; it is asked again.
  } finally {
    asking = false;
    if (!document.hidden) timer = setTimeout(refreshQueue, busy() ? BUSY_MS : IDLE_MS);
  }
}

/** Begin to ask. */
export function startQueue() {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refreshQueue();
  });
  refreshQueue();
}

/** Why nothing begins, as far as is known; null if runs do. */
export function hindrance() {
  if (!present) return null;
  if (present.paused) return "The queue is paused; it waits until that ends";
  if (present.workers.some((worker) => worker.ready)) return null;
  const trouble = present.workers.map((worker) => worker.trouble).find(Boolean);
  return trouble ? `No worker is ready: ${trouble}` : "The worker is starting; it waits for that";
}

/** How many runs have not ended. */
export function openRuns(queue) {
  return queue.running.length + queue.waiting.length + queue.more;
}

function busy() {
  return present !== null && openRuns(present) > 0;
}
