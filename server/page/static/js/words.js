// Figures and states in words.

export const STATES = {
  queued: "Waiting",
  running: "Running",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long a run took, or null. */
export function took(run) {
  if (!run.started || !run.finished) return null;
  return (Date.parse(run.finished) - Date.parse(run.started)) / 1000;
}

/** A moment, seen from now. */
export function ago(moment) {
  const then = new Date(moment);
  const seconds = (Date.now() - then.getTime()) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (then.toDateString() === new Date().toDateString()) return `today, ${time}`;
  return `${then.toLocaleDateString()}, ${time}`;
}

/** What a run is called. */
export function titleOf(run) {
  return run.title || run.workflow || "Workflow without a title";
}

/** One of a word, or several. */
export function count(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

/** A file's kind by its name: image, video or other. */
export function mediaKind(name) {
  const suffix = name.toLowerCase().split(".").pop();
  if (["png", "jpg", "jpeg", "webp", "gif", "bmp", "avif"].includes(suffix)) return "image";
  return ["mp4", "webm", "mov", "mkv"].includes(suffix) ? "video" : "other";
}
