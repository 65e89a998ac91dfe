import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledSource, ROOT } from '../helpers/compiled.js';
import { startProgram } from '../helpers/host.js';
import { codeBlocks } from '../helpers/markdown.js';

const blocks = codeBlocks(readFileSync(join(ROOT, 'README.md'), 'utf8'), 'js', 'json');
const programs = blocks.filter(({ name = '', language }) => language === 'js' && name !== 'call.mjs');

/** A program that ends itself by a signal, as a host does that handles it. */
const SIGNALS: Readonly<Record<string, string>> = { 'signals.mjs': 'SIGTERM' };

/** The imports of the package lead to the sources, compiled. */
function withSources(code: string): string {
  return code.replace(
    /from 'mcp-server-pool(?:\/(\w+))?'/g,
    (_, entry = 'index') => `from ${JSON.stringify(`${compiledSource()}/${entry}.js`)}`,
  );
}

/** The lines that a program prints, as its comments say: `// prints: a / b`, where `…` stands for anything. */
function linesOf(code: string): string[] {
  return [...code.matchAll(/\/\/ (?:.* )?prints: (.+)$/gm)].flatMap(([, text = '']) => text.split(' / '));
}

function matches(line: string): unknown {
  const parts = line.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return parts.length === 1 ? line : expect.stringMatching(new RegExp(`^${parts.join('.*')}$`));
}

describe('the programs of the README', () => {
  let folder = '';

  beforeAll(() => {
    mkdirSync(join(ROOT, '.tmp'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.tmp', 'readme-'));
    for (const { name, code } of blocks) writeFileSync(join(folder, name ?? ''), withSources(code));
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  it('[GUEST-1] each has a name, and says what it prints', () => {
    expect(blocks.filter(({ name }) => name === undefined)).toEqual([]);
    expect(programs.length).toBeGreaterThan(9);
    const silent = programs.filter(({ code }) => linesOf(code).length === 0).map(({ name }) => name);
    expect(silent).toEqual(['host.test.mjs']);
  });

  it.each(programs)('[GUEST-1] [END-1] $name prints that, and ends', async ({ name = '', code }) => {
    const end = await startProgram(process.execPath, [join(folder, name)], { cwd: folder }).result;

    expect(end.stderr).toBe('');
    const signal = SIGNALS[name] ?? null;
    expect([end.code, end.signal]).toEqual([signal === null ? 0 : null, signal]);
    // A test prints a report of its own.
    if (linesOf(code).length > 0) expect(end.stdout.trimEnd().split('\n')).toEqual(linesOf(code).map(matches));
  });
});
