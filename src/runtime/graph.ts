// Functions of directed graphs. None of them calls itself, so that a chain of 10,000 nodes does not overflow the stack; each
// costs as much as there are nodes and edges.

type Edges<N> = (node: N) => readonly N[];

/**
 * The level of each node: 1 where no edge leads to another of `nodes`, else one more than the highest level that an edge leads
 * to. In an order in which every node comes after those that it leads to. A node that leads into a cycle has no level.
 */
export function levelsOf<N>(nodes: readonly N[], edges: Edges<N>): Map<N, number> {
  const found = new Map<N, number>();
  const open = new Map<N, number>(nodes.map((node) => [node, 0]));
  const leadingTo = new Map<N, N[]>();
  for (const node of nodes) {
    let count = 0;
    for (const next of edges(node)) {
      if (!open.has(next)) continue;
      count += 1;
      const others = leadingTo.get(next);
      if (others === undefined) leadingTo.set(next, [node]);
      else others.push(node);
    }
    open.set(node, count);
    if (count === 0) found.set(node, 1);
  }
  // A map is read in the order in which it is filled, also while it is filled.
  for (const [node, level] of found) {
    for (const before of leadingTo.get(node) ?? []) {
      const left = (open.get(before) ?? 0) - 1;
      open.set(before, left);
      // The last that it leads to has the highest level: levels are found in ascending order.
      if (left === 0) found.set(before, level + 1);
    }
  }
  return found;
}

/** The nodes of each level, the first level first; within one in the order of `nodes`. */
export function wavesOf<N>(nodes: readonly N[], levels: ReadonlyMap<N, number>): N[][] {
  const waves: N[][] = [];
  for (const node of nodes) {
    const index = (levels.get(node) ?? 1) - 1;
    while (waves.length <= index) waves.push([]);
    waves[index]?.push(node);
  }
  return waves;
}

/** The nodes of one longest path, from the level 1 on; of several that with the first nodes. */
export function longestPath<N>(nodes: readonly N[], levels: ReadonlyMap<N, number>, edges: Edges<N>): N[] {
  const highest = nodes.reduce((most, node) => Math.max(most, levels.get(node) ?? 0), 0);
  const path: N[] = [];
  let candidates = nodes;
  for (let level = highest; level > 0; level--) {
    const node = candidates.find((one) => levels.get(one) === level);
    if (node === undefined) break;
    path.push(node);
    candidates = edges(node);
  }
  return path.reverse();
}

/**
 * Cycles, each as the path along its edges that begins with its first node. Without the last edge of each of them the graph has
 * no cycle, unless there are more than `most`.
 */
export function cyclesOf<N>(nodes: readonly N[], edges: Edges<N>, most: number): N[][] {
  const levels = levelsOf(nodes, edges);
  const suspects = new Map<N, number>();
  for (const [index, node] of nodes.entries()) if (!levels.has(node)) suspects.set(node, index);
  const cycles: N[][] = [];
  const done = new Set<N>();
  for (const root of suspects.keys()) {
    if (done.has(root)) continue;
    const path: { readonly node: N; readonly next: Iterator<N> }[] = [];
    const places = new Map<N, number>();
    const enter = (node: N) => {
      places.set(node, path.length);
      path.push({ node, next: edges(node)[Symbol.iterator]() });
    };
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { value: next, done: isLast } = top.next.next();
      if (isLast) {
        places.delete(top.node);
        done.add(top.node);
        path.pop();
      } else if (suspects.has(next) && !done.has(next)) {
        const place = places.get(next);
        if (place === undefined) enter(next);
        else
          cycles.push(
            fromFirst(
              path.slice(place).map(({ node }) => node),
              suspects,
            ),
          );
        if (cycles.length === most) return cycles;
      }
    }
  }
  return cycles;
}

function fromFirst<N>(cycle: readonly N[], indexes: ReadonlyMap<N, number>): N[] {
  let first = 0;
  const rank = (place: number) => indexes.get(cycle[place] as N) ?? Infinity;
  for (let place = 1; place < cycle.length; place++) if (rank(place) < rank(first)) first = place;
  return [...cycle.slice(first), ...cycle.slice(0, first)];
}

/** `nodes` and all that edges lead to from there. */
export function reachable<N>(nodes: Iterable<N>, edges: Edges<N>): Set<N> {
  const found = new Set(nodes);
  // A set is read in the order in which it is filled, also while it is filled.
  for (const node of found) for (const next of edges(node)) found.add(next);
  return found;
}
