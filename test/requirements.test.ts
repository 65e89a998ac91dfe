import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { requirements } from './requirements.js';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
/** Wherever it is written, so that a misspelt one is found, too. */
const CITED = /\[([A-Z]+-\d+)\]/g;

const sources = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, text: readFileSync(join(FOLDER, file), 'utf8') }));
const cited = sources
  .filter(({ file }) => file.endsWith('.test.ts'))
  .flatMap(({ file, text }) => [...text.matchAll(CITED)].map(([, id = '']) => ({ file, id })));

describe('requirements', () => {
  it('are each cited by the title of a test', () => {
    const ids = new Set(cited.map(({ id }) => id));
    expect(Object.keys(requirements).filter((id) => !ids.has(id))).toEqual([]);
  });

  it('exist when they are cited', () => {
    expect(cited.filter(({ id }) => !Object.hasOwn(requirements, id))).toEqual([]);
  });
});

describe('docs/security.md', () => {
  it('cites requirements that exist, in each line of what holds', () => {
    const [, holds = ''] =
      /^## What holds\n(.*?)^## /ms.exec(readFileSync(join(FOLDER, '../docs/security.md'), 'utf8')) ?? [];
    const rows = holds.split('\n').filter((line) => /^\| (?!attempt|---)/.test(line));
    const cites = rows.map((row) => row.split('|').at(-2)?.trim().split(' ') ?? []);
    expect(rows.length).toBeGreaterThan(15);
    expect(cites.flat().filter((id) => !Object.hasOwn(requirements, id))).toEqual([]);
  });
});

describe('tests', () => {
  // Written apart, so that this file does not find itself.
  const forbidden = [
    new RegExp(`await (sleep|delay|setTime${'out'})\\(`),
    new RegExp(`\\b(it|test|describe)\\.(on${'ly'}|sk${'ip'}|to${'do'})\\b`),
  ];

  it('wait for conditions, not for time, and are all run', () => {
    const found = sources
      .filter(({ file }) => !/^(bench|chaos|fixtures|consumer)\//.test(file))
      .filter(({ text }) => forbidden.some((pattern) => pattern.test(text)))
      .map(({ file }) => file);
    expect(found).toEqual([]);
  });
});
