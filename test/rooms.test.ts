import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** Every source file, and every file of ours that it imports, types included; paths below `src`. */
const imports = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, targets: targetsOf(file) }));

function targetsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8');
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\(|\bimport) ?'(\.{1,2}\/[^']+)\.js'/g)].map(
    ([, path]) => path,
  );
  return specifiers.map((path) => relative(SRC, join(SRC, dirname(file), `${path}.ts`)));
}

/** `src` and every folder in it, as prefix of the paths below. */
const folders = ['', ...new Set(imports.flatMap(({ file }) => parentsOf(file)))];

function parentsOf(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('/')}/`);
}

/** What stands directly in a folder: its files, and its rooms as a whole. Edges are the imports between two of them. */
function graphOf(folder: string): Map<string, Map<string, string>> {
  const graph = new Map<string, Map<string, string>>();
  const nodeOf = (file: string) => (file.startsWith(folder) ? file.slice(folder.length).split('/')[0] : undefined);
  for (const { file, targets } of imports) {
    const from = nodeOf(file);
    if (from === undefined) continue;
    const edges = graph.get(from) ?? new Map<string, string>();
    graph.set(from, edges);
    for (const target of targets) {
      const to = nodeOf(target);
      if (to !== undefined && to !== from) edges.set(to, `${file} imports ${target}`);
    }
  }
  return graph;
}

/** The imports of one cycle, if there is any. */
function cycleIn(graph: Map<string, Map<string, string>>): string[] {
  const done = new Set<string>();
  const walk = (node: string, path: { node: string; why: string }[]): string[] => {
    for (const [next, why] of graph.get(node) ?? []) {
      const start = path.findIndex((step) => step.node === next);
      if (start !== -1) return [...path.slice(start + 1).map((step) => step.why), why];
      if (done.has(next)) continue;
      const cycle = walk(next, [...path, { node: next, why }]);
      if (cycle.length > 0) return cycle;
    }
    done.add(node);
    return [];
  };
  for (const node of graph.keys()) {
    const cycle = walk(node, [{ node, why: '' }]);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

describe('rooms import each other in one direction only', () => {
  test('the imports are found', () => {
    expect(imports.length).toBeGreaterThan(100);
    expect(imports.find(({ file }) => file === 'index.ts')?.targets).toContain('pool/mcp-server-pool.ts');
    expect(imports.flatMap(({ targets }) => targets).every((path) => imports.some(({ file }) => file === path))).toBe(
      true,
    );
  });

  test('a cycle is found', () => {
    const edge = (...to: string[]) => new Map(to.map((name) => [name, `imports ${name}`]));
    expect(
      cycleIn(
        new Map([
          ['a', edge('b')],
          ['b', edge('c')],
          ['c', edge('b')],
        ]),
      ),
    ).toEqual(['imports c', 'imports b']);
    expect(
      cycleIn(
        new Map([
          ['a', edge('b', 'c')],
          ['b', edge('c')],
          ['c', edge()],
        ]),
      ),
    ).toEqual([]);
  });

  test.each(folders)('src/%s', (folder) => {
    expect(cycleIn(graphOf(folder))).toEqual([]);
  });
});
