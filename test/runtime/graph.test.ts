import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cyclesOf, levelsOf, longestPath, reachable, wavesOf } from '../../src/runtime/graph.js';

type Graph = Readonly<Record<string, readonly string[]>>;

const edgesOf = (graph: Graph) => (node: string) => graph[node] ?? [];
const nodesOf = (graph: Graph) => Object.keys(graph);

const graph: fc.Arbitrary<Graph> = fc
  .array(fc.array(fc.nat(9), { maxLength: 4 }), { minLength: 1, maxLength: 10 })
  .map((rows) =>
    Object.fromEntries(rows.map((row, index) => [`n${index}`, [...new Set(row)].map((to) => `n${to % rows.length}`)])),
  );

/** The same by a definition that calls itself; undefined on a way into a cycle. */
function levelOf(graph: Graph, node: string, path: readonly string[] = []): number | undefined {
  if (path.includes(node)) return undefined;
  const levels = edgesOf(graph)(node).map((next) => levelOf(graph, next, [...path, node]));
  return levels.some((level) => level === undefined)
    ? undefined
    : 1 + Math.max(0, ...levels.map((level) => level ?? 0));
}

describe('a graph', () => {
  it('[SEQ-12] has levels as by their definition, none on a way into a cycle', () => {
    fc.assert(
      fc.property(graph, (graph) => {
        const levels = levelsOf(nodesOf(graph), edgesOf(graph));
        for (const node of nodesOf(graph)) expect(levels.get(node)).toBe(levelOf(graph, node));
      }),
    );
  });

  it('[SEQ-3] has no cycle without the last edge of each one that is found', () => {
    fc.assert(
      fc.property(graph, (graph) => {
        const cycles = cyclesOf(nodesOf(graph), edgesOf(graph), Infinity);
        for (const cycle of cycles) {
          const steps = cycle.map((node, index) => [node, cycle[(index + 1) % cycle.length]!] as const);
          expect(steps.every(([from, to]) => graph[from]?.includes(to))).toBe(true);
          expect(new Set(cycle).size).toBe(cycle.length);
          expect(cycle[0]).toBe([...cycle].sort((a, b) => nodesOf(graph).indexOf(a) - nodesOf(graph).indexOf(b))[0]);
        }
        expect(cycles.length > 0).toBe(levelsOf(nodesOf(graph), edgesOf(graph)).size < nodesOf(graph).length);
      }),
    );
  });

  it('[SEQ-10] has waves in the order of its nodes, and a longest path from the first wave on', () => {
    const house: Graph = { web: ['api'], api: ['db', 'cache'], worker: ['cache'], db: [], cache: [] };
    const levels = levelsOf(nodesOf(house), edgesOf(house));
    expect(wavesOf(nodesOf(house), levels)).toEqual([['db', 'cache'], ['api', 'worker'], ['web']]);
    expect(longestPath(nodesOf(house), levels, edgesOf(house))).toEqual(['db', 'api', 'web']);
    expect([...reachable(['worker'], edgesOf(house))]).toEqual(['worker', 'cache']);
    // Only what it is asked about counts.
    expect(levelsOf(['web', 'db'], edgesOf(house))).toEqual(
      new Map([
        ['web', 1],
        ['db', 1],
      ]),
    );
  });

  it('[SEQ-12] of 100,000 nodes in a chain, or in one circle, is no deep call', () => {
    const nodes = Array.from({ length: 100_000 }, (_, index) => index);
    const chain = (node: number) => (node === 0 ? [] : [node - 1]);
    const levels = levelsOf(nodes, chain);
    expect(levels.get(99_999)).toBe(100_000);
    expect(longestPath(nodes, levels, chain)).toHaveLength(100_000);
    expect(reachable([99_999], chain).size).toBe(100_000);
    const circle = (node: number) => [(node + 99_999) % 100_000];
    expect(cyclesOf(nodes, circle, 10)).toMatchObject([{ length: 100_000, 0: 0 }]);
  });
});
