// Where we are, from the address after `#`: parts between slashes, and a query.

/** The present place. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { parts, query: new URLSearchParams(query) };
}

/** The address of a place. */
export function address(parts, query = {}) {
  const path = parts.map(encodeURIComponent).join("/");
  const given = new URLSearchParams(query).toString();
  return `#/${path}${given ? `?${given}` : ""}`;
}

/** Go there; the way back leads here. */
export function go(target) {
  if (location.hash === target) window.dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = target;
}

/** Note something in the address without going anywhere. */
export function note(target) {
  history.replaceState(null, "", target);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
