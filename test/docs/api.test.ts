import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { apiPages } from './api.js';

const FOLDER = join(ROOT, 'docs/api');
/** `npm run generate` sets it: then the pages are written. */
const isWritten = process.env.GENERATE !== undefined;

it('[DOCS-5] docs/api is what the comments of the code say now', { timeout: 300_000 }, async () => {
  const pages = await apiPages();
  if (isWritten) {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER);
    for (const [file, text] of pages) writeFileSync(join(FOLDER, file), text);
  }
  expect(readdirSync(FOLDER).sort(), 'docs/api is old: run npm run generate').toEqual([...pages.keys()]);
  for (const [file, text] of pages) {
    expect(text === readFileSync(join(FOLDER, file), 'utf8'), `docs/api/${file} is old: run npm run generate`).toBe(
      true,
    );
    expect(text).not.toContain(ROOT);
    // They name nothing that a reader could look up.
    expect(text).not.toMatch(/`(?:Given|Resolved)`/);
  }
});
