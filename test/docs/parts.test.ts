import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { runHost } from '../helpers/host.js';
import { codeBlocks } from '../helpers/markdown.js';

const blocks = codeBlocks(readFileSync(join(ROOT, 'docs/parts.md'), 'utf8'), 'js');

it.each(blocks)('[DOCS-7] the program in line $line of docs/parts.md runs, and ends by itself', async ({ code }) => {
  const script = code.replace(
    /import (\{[^}]+\}) from 'mcp-server-pool';/,
    "const $1 = await import(SRC + '/index.js');",
  );
  const { code: exitCode, stdout, stderr } = await runHost(script);
  expect([exitCode, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^true 1 \[\]$|^1 true\n\{ checked: 1, dead: \[\], reused: \[\], problems: \[\] \}/m);
});
