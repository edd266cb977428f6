// Makes elements. Whatever comes from runs and files becomes text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "indeterminate"]);
let lastId = 0;

/** An element; functions among the attributes are listeners (`onclick`), null and false leave one out. */
export function el(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), attributes, children);
}

/** Put new children in the place of the old ones. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(present));
  return parent;
}

/** Change the page without taking the focus from where it is: a control of a row is found again by its row. */
export function keepFocus(change) {
  const held = document.activeElement;
  const row = held.closest("[data-run]");
  change();
  if (document.activeElement === held) return;
  const again = held.isConnected
    ? held
    : row && document.querySelector(`[data-run="${CSS.escape(row.dataset.run)}"] ${held.localName}`);
  const place = again || document.querySelector("main h1");
  if (!again && place) place.tabIndex = -1;
  if (place && held !== document.body) place.focus({ preventScroll: true });
}

/** An id that nothing else has. */
export function uniqueId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter(present));
  return element;
}

function present(child) {
  return child !== null && child !== undefined && child !== false && child !== "";
}
