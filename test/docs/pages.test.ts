import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { resolveLane, resolveRun } from '../../src/config/lane-options.js';
import { inCode } from '../../src/config/written-number.js';
import { POOL_EVENTS } from '../../src/index.js';
import { ROOT } from '../helpers/compiled.js';
import { withBlock } from './blocks.js';
import { errorBlocks, errorProblems } from './errors.js';
import { EVENT_MAPS } from './event-advice.js';
import { emittedMaps, eventBlocks, eventProblems } from './events.js';
import { IN_TABLES } from './option-types.js';
import { ENTRIES, readSources } from './program.js';
import { serverBlocks } from './servers.js';
import { stateBlocks } from './states.js';
import { fieldTable } from './types.js';

const sources = readSources();
/** `npm run generate` sets it: then the pages are written. */
const isWritten = process.env.GENERATE !== undefined;
const OPTIONS = readFileSync(join(ROOT, 'docs/options.md'), 'utf8');
const TYPES = [...OPTIONS.matchAll(/<!-- types: (\w+) /g)].map(([, name = '']) => name);

function typeBlocks(): Record<string, string> {
  return Object.fromEntries(
    TYPES.map((name) => {
      const entry = ENTRIES.find((one) => sources.names(one).includes(name));
      return [`types: ${name}`, fieldTable(sources, sources.exported(name, entry))];
    }),
  );
}

it.each([
  ['docs/errors.md', () => errorBlocks(sources)],
  ['docs/events.md', () => eventBlocks(sources)],
  ['docs/options.md', typeBlocks],
  ['docs/states.md', stateBlocks],
  ['docs/servers.md', serverBlocks],
] as const)('[DOCS-1] %s is what the code says now', (page, blocks) => {
  const path = join(ROOT, page);
  const made = Object.entries(blocks()).reduce(
    (text, [label, content]) => withBlock(text, label, content),
    readFileSync(path, 'utf8'),
  );
  if (isWritten) writeFileSync(path, made);
  expect(readFileSync(path, 'utf8'), `${page} is old: run npm run generate`).toBe(made);
});

it('[DOCS-2] each error code is thrown, described and has an advice; nothing else is a code', () => {
  expect(errorProblems(sources)).toEqual([]);
});

it('[DOCS-3] each event of each class is described and has an advice; nothing else is an event', () => {
  expect(eventProblems(sources)).toEqual([]);
  const page = eventBlocks(sources)['events: PoolEvents'] ?? '';
  expect([...page.matchAll(/^#### `(.*)`$/gm)].map(([, name]) => name).sort()).toEqual([...POOL_EVENTS].sort());
  // Those of the parts of a pool are in its own.
  const inPool = ['CleanupEvents', 'HealthEvents', 'AlertEvents'];
  expect(emittedMaps(sources).sort()).toEqual([...Object.keys(EVENT_MAPS), ...inPool].sort());
});

it('[DOCS-4] docs/lanes.md has each option of a lane and of run(), with its default', () => {
  const page = readFileSync(join(ROOT, 'docs/lanes.md'), 'utf8');
  const [ofRun = '', ofLane = ''] = [...page.matchAll(/^\| option +\| default .*\n\|[- |]+\n((?:\|.*\n)+)/gm)].map(
    ([, rows]) => rows,
  );
  const read = (rows: string) =>
    rows.split('\n').flatMap((row) => {
      const [names = '', value = ''] = row.split('|').slice(1);
      return [...names.matchAll(/`(\w+)`/g)].map(([, name]) => [name, value.trim()] as const);
    });
  const defaults = (rows: string) => read(rows).filter(([, value]) => /^`(?!\/)/.test(value));
  for (const [type, rows] of [
    ['RunOptions', ofRun],
    ['LaneOptions', ofLane],
  ] as const) {
    const properties = sources.checker.getPropertiesOfType(
      sources.checker.getDeclaredTypeOfSymbol(sources.exported(type)),
    );
    expect(
      read(rows)
        .map(([name]) => name)
        .sort(),
    ).toEqual(properties.map(({ name }) => name).sort());
  }
  const resolved = { ...resolveRun('node', [], {}), ...resolveLane({ lane: 'x' }) };
  expect(defaults(ofRun + ofLane).length).toBeGreaterThan(5);
  for (const [name, value] of defaults(ofRun + ofLane)) {
    const shown = Object.entries(resolved).find(([option]) => option === name)?.[1];
    expect([name, value]).toEqual([
      name,
      `\`${typeof shown === 'string' ? `'${shown}'` : typeof shown === 'number' ? inCode(shown) : shown}\``,
    ]);
  }
});

it('[DOCS-4] each exported type of options is in docs/options.md, by its type or in a table', () => {
  const exported = ENTRIES.flatMap((entry) => sources.names(entry));
  const options = exported.filter((name) => /(?:Options|Parameters)$/.test(name));
  expect(options.length).toBeGreaterThan(25);
  expect(options.filter((name) => !TYPES.includes(name) && !IN_TABLES.includes(name))).toEqual([]);
  expect(IN_TABLES.filter((name) => !options.includes(name))).toEqual([]);
});

it('[DOCS-5] each exported name is in the API reference', () => {
  for (const entry of ENTRIES) {
    const page = readFileSync(join(ROOT, `docs/api/${entry}.md`), 'utf8').replaceAll('\\_', '_');
    const missing = sources.names(entry).filter((name) => !new RegExp(`^### ${name}(?:\\(\\))?$`, 'm').test(page));
    expect(missing, entry).toEqual([]);
  }
});
