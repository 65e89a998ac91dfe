import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { catalog } from './catalog.js';
import { describedFor, fileSchema, schemaOf } from './schema.js';
import { TABLES, withTables } from './tables.js';

const HOW = 'what is generated from src/config is old: run npm run generate';
/** `npm run generate` sets it: then the files are written. */
const isWritten = process.env.GENERATE !== undefined;

const pathOf = (file: string) => new URL(`../../${file}`, import.meta.url);
const read = (file: string) => readFileSync(pathOf(file), 'utf8');

function check(file: string, generated: string): void {
  if (isWritten) writeFileSync(pathOf(file), generated);
  expect(read(file), HOW).toBe(generated);
}

it.each(Object.keys(TABLES))('[SCHEMA-1] the tables of options of %s are those of the option table', (page) => {
  check(page, withTables(page, read(page)));
});

it('[SCHEMA-2] docs/schema.json is that of the option table', () => {
  check('docs/schema.json', `${JSON.stringify(fileSchema(), undefined, 2)}\n`);
});

it('[SCHEMA-1] each option has a description: one line, one sentence, without a full stop of its own', () => {
  const wrong = [...catalog()].filter(([, { about = '' }]) => !/^\S(.*[^.\s])?$/.test(about) || /\. /.test(about));
  expect(wrong.map(([path, { about }]) => ({ path, about }))).toEqual([]);
});

it('[SCHEMA-1] each option is in a table, or described where its part is', () => {
  const shown = new Set(Object.values(TABLES).flatMap((tables) => Object.values(tables).flatMap(({ rows }) => rows)));
  const elsewhere = [...catalog().keys()].filter((path) => !shown.has(path));
  expect(elsewhere).toEqual(['limits', 'cleanup', ...['condition', 'required'].map((name) => `dependsOn.*.${name}`)]);
});

it('[SCHEMA-2] leaves out what only code can give, and what only the program of a host knows, and nothing else', () => {
  const all = [...catalog()];
  expect(all.filter(([, field]) => schemaOf(field) === undefined).map(([path]) => path)).toEqual([
    'servers',
    'monitoring.onEmergency',
    'alerts.tiers',
    'perTenant',
  ]);
  expect(all.filter(([, { inFile }]) => inFile === false).map(([path]) => path)).toEqual([
    'handleSignals',
    'guardian.reaper',
    'guardian.executable',
  ]);
});

it('[SCHEMA-2] describes options as an editor shows them: without links, with units', () => {
  const all = catalog();
  const described = (path: string) => describedFor(all.get(path)!);
  expect(described('idleTimeout')).toBe('An idle instance ends after this time (milliseconds).');
  expect(described('sharing')).toBe('`"shared"`, `"exclusive"`, `"dedicated"`; auto: exclusive.');
  expect(described('memoryLimitMB')).toBe('Unique memory of one tree; above it the tree is replaced (megabytes).');
  for (const field of all.values()) expect(describedFor(field)).not.toMatch(/\]\(|Infinity|a function/);
});
