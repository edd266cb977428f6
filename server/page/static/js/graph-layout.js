// Places a graph in layers, left to right: each node right of all that feed it, links as short and as uncrossed as a few
// sweeps make them. Long links run through places in the layers between, which those from one output share.

const COLUMN = 172;
const GAP = 44;
const ROW = 58;
const SPACE = 18;
const THIN = 8;
const SWEEPS = 6;
const THROUGHWAYS = 2500;

/** Places of nodes and links: `{width, height, nodes: Map(id → {x, y, width, height, layer}), links: [[points]]}`. */
export function layOut(ids, links) {
  const layers = layersOf(ids, links);
  const { columns, chains } = withThroughways(ids, links, layers);
  order(columns);
  place(columns);
  const cells = new Map(
    columns
      .flat()
      .filter((cell) => cell.id !== null)
      .map((cell) => [cell.id, cell]),
  );
  const height = Math.max(ROW, ...columns.flat().map((cell) => cell.y + cell.height));
  const nodes = new Map(
    [...cells].map(([id, cell]) => [
      id,
      { x: cell.layer * (COLUMN + GAP), y: cell.y, width: COLUMN, height: ROW, layer: cell.layer },
    ]),
  );
  return {
    width: columns.length * (COLUMN + GAP) - GAP,
    height,
    nodes,
    links: chains.map((chain) => (chain ? pointsOf(chain) : null)),
  };
}

/** The layer of each node: one more than the greatest of those that feed it. Links that close a circle do not count. */
function layersOf(ids, links) {
  const known = new Set(ids);
  const feeds = new Map(ids.map((id) => [id, []]));
  const waiting = new Map(ids.map((id) => [id, 0]));
  for (const { source, target } of links) {
    if (!known.has(source) || !known.has(target) || source === target) continue;
    feeds.get(source).push(target);
    waiting.set(target, waiting.get(target) + 1);
  }
  const layers = new Map();
  let ready = ids.filter((id) => waiting.get(id) === 0);
  const left = new Set(ids);
  while (left.size) {
    if (!ready.length) ready = [left.values().next().value];
    const id = ready.shift();
    if (!left.delete(id)) continue;
    if (!layers.has(id)) layers.set(id, 0);
    for (const next of feeds.get(id)) {
      if (!left.has(next)) continue;
      layers.set(next, Math.max(layers.get(next) || 0, layers.get(id) + 1));
      waiting.set(next, waiting.get(next) - 1);
      if (waiting.get(next) === 0) ready.push(next);
    }
  }
  drawIn(ids, links, layers, feeds);
  return layers;
}

/** Nodes that nothing feeds stand just before the first that they feed. */
function drawIn(ids, links, layers, feeds) {
  const fed = new Set(links.filter((link) => layers.has(link.source)).map((link) => link.target));
  for (const id of ids) {
    const next = feeds.get(id).map((target) => layers.get(target));
    if (!fed.has(id) && next.length) layers.set(id, Math.max(0, Math.min(...next) - 1));
  }
}

function withThroughways(ids, links, layers) {
  const columns = Array.from({ length: Math.max(0, ...layers.values()) + 1 }, () => []);
  const cells = new Map();
  const put = (id, layer, height) => {
    const cell = { id, layer, height, y: 0, before: [], after: [], rank: columns[layer].length };
    columns[layer].push(cell);
    return cell;
  };
  let left = THROUGHWAYS;
  for (const id of ids) cells.set(id, put(id, layers.get(id), ROW));
  const shared = new Map();
  const chains = links.map(({ source, output, target }) => {
    const first = cells.get(source);
    const last = cells.get(target);
    if (!first || !last || last.layer <= first.layer) return first && last ? [first, last] : null;
    const chain = [first];
    left -= last.layer - first.layer - 1;
    if (left < 0) return [first, last];
    for (let layer = first.layer + 1; layer < last.layer; layer += 1) {
      const key = `${layer} ${source} ${output}`;
      if (!shared.has(key)) shared.set(key, put(null, layer, THIN));
      chain.push(shared.get(key));
    }
    chain.push(last);
    for (let step = 1; step < chain.length; step += 1) {
      if (chain[step - 1].after.includes(chain[step])) continue;
      chain[step - 1].after.push(chain[step]);
      chain[step].before.push(chain[step - 1]);
    }
    return chain;
  });
  return { columns, chains };
}

function order(columns) {
  const sorted = (column, side) => {
    for (const cell of column) {
      const near = cell[side];
      cell.mean = near.length ? near.reduce((sum, other) => sum + other.rank, 0) / near.length : cell.rank;
    }
    column.sort((one, other) => one.mean - other.mean);
    column.forEach((cell, rank) => {
      cell.rank = rank;
    });
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const column of columns.slice(1)) sorted(column, "before");
    for (const column of columns.slice(0, -1).reverse()) sorted(column, "after");
  }
}

/** Heights: each column packed, then drawn towards what it is linked to, without overlap. */
function place(columns) {
  for (const column of columns) stack(column, (cell, at) => at);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const inTurn = sweep % 2 ? [...columns].reverse() : columns;
    for (const column of inTurn) {
      stack(column, (cell) => {
        const near = [...cell.before, ...cell.after];
        if (!near.length) return cell.y;
        return (
          near.reduce((sum, other) => sum + other.y + other.height / 2, 0) / near.length - cell.height / 2
        );
      });
    }
  }
  const top = Math.min(...columns.flat().map((cell) => cell.y));
  for (const cell of columns.flat()) cell.y -= top;
}

function stack(column, wish) {
  let floor = -Infinity;
  let shift = 0;
  for (const cell of column) {
    const wanted = wish(cell, floor === -Infinity ? 0 : floor);
    cell.y = Math.max(wanted, floor);
    shift += wanted - cell.y;
    floor = cell.y + cell.height + SPACE;
  }
  const back = column.length ? shift / column.length : 0;
  for (const cell of column) cell.y += back;
}

function pointsOf(chain) {
  return chain
    .map((cell, step) => {
      const x = cell.layer * (COLUMN + GAP);
      const y = cell.y + cell.height / 2;
      if (step === 0) return [[x + COLUMN, y]];
      if (step === chain.length - 1) return [[x, y]];
      return [
        [x, y],
        [x + COLUMN, y],
      ];
    })
    .flat();
}
