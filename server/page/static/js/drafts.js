// What was typed into forms, for as long as the tab is open; and the workflow that was used last.

const LAST = "graphcore-last";

/** Keep the state of a form. */
export function keep(key, state) {
  write(sessionStorage, `draft:${key}`, JSON.stringify(state));
}

/** The state of a form, or null. */
export function kept(key) {
  return read(sessionStorage, `draft:${key}`);
}

/** Forget the state of a form. */
export function drop(key) {
  try {
    sessionStorage.removeItem(`draft:${key}`);
  } catch {
    // There is nothing to forget.
  }
}

/** The workflow that a run was made with last is offered first next time. */
export function remember(source) {
  if (source.kind === "saved" || source.kind === "example") write(localStorage, LAST, JSON.stringify(source));
}

/** That workflow, or null. */
export function lastSource() {
  return read(localStorage, LAST);
}

/** Keep the sheet of a file that was opened. */
export function keepOpened(sheet) {
  write(sessionStorage, "opened", JSON.stringify(sheet));
}

/** That sheet, or null. */
export function keptOpened() {
  return read(sessionStorage, "opened");
}

function write(storage, key, text) {
  try {
    storage.setItem(key, text);
  } catch {
    // Full, or not allowed: the page works without.
  }
}

function read(storage, key) {
  try {
    return JSON.parse(storage.getItem(key));
  } catch {
    return null;
  }
}
