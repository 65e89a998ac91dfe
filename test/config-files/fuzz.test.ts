import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { loadMcpConfig, type McpConfig } from '../../src/config.js';
import { FORMAT_NAMES } from '../../src/config-files/formats.js';
import { MCPServerPool } from '../../src/index.js';
import { newFolder } from '../helpers/folders.js';

const RUNS = 400;
const FOLDER = new URL('../fixtures/configs/', import.meta.url);
const CORPUS = readdirSync(FOLDER).filter((name) => /\.(?:json|toml)$/.test(name));
const TEXTS = CORPUS.map((name) => readFileSync(new URL(name, FOLDER), 'utf8'));
/** It stands in the environment, and must be in no problem. */
const SECRET = 'correct-horse-battery-staple';
const env = { HOME: SECRET, API_KEY: SECRET, A: SECRET, GITHUB_TOKEN: SECRET };

/** What holds of every configuration. */
function checkSound(config: McpConfig, text: string): void {
  const all = [Object.keys(config.servers), Object.keys(config.remote), config.disabled].flat();
  expect(new Set(all).size).toBe(all.length);
  expect(JSON.stringify(config.problems)).not.toContain(SECRET);
  const lines = text.split('\n').length;
  for (const { kind, message, line, column, key } of config.problems) {
    expect(message.length).toBeGreaterThan(10);
    expect(message + key).not.toMatch(/[\p{Cc}\p{Zl}]/u);
    if (kind === 'file') expect(all).toEqual([]);
    if (line !== undefined) expect(line >= 1 && line <= lines && (column ?? 0) >= 1).toBe(true);
  }
  // Each definition is one that a pool takes.
  const names = Object.keys(config.servers);
  if (names.length === 0 || names.length > 10) return;
  const pool = new MCPServerPool({ limits: { maxProcesses: Infinity } });
  expect(pool.applyConfig(config.servers).added).toEqual(names);
  for (const name of names) void pool.removeServer(name);
}

const mutated = fc
  .tuple(
    fc.constantFrom(...TEXTS),
    fc.array(
      fc.record({
        at: fc.double({ min: 0, max: 1, noNaN: true }),
        cut: fc.nat(20),
        put: fc.constantFrom(
          '',
          '{',
          '}',
          '[',
          ']',
          '"',
          ',',
          ':',
          '\\',
          'null',
          '-1e999',
          `\${`,
          '}',
          '$',
          '%',
          '\u0000',
          '\ud800',
          '//',
          '/*',
          '\n',
          '=',
          `\${A:-`,
          `\${env:`,
          `\${input:`,
          '__proto__',
        ),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  )
  .map(([text, edits]) =>
    edits.reduce((now, { at, cut, put }) => {
      const place = Math.floor(at * now.length);
      return now.slice(0, place) + put + now.slice(place + cut);
    }, text),
  );

it('[CONFIG-8] damaged files never crash the loader, and what it reads is sound', async () => {
  const folder = newFolder();
  const names = ['x.json', '.mcp.json', 'claude_desktop_config.json', 'config.toml', 'cline_mcp_settings.json'];
  await fc.assert(
    fc.asyncProperty(mutated, fc.constantFrom(...names), async (text, name) => {
      const path = join(folder, name);
      writeFileSync(path, text);
      checkSound(await loadMcpConfig(path, { env }), text);
    }),
    { numRuns: RUNS },
  );
});

it('[CONFIG-8] any bytes are read or refused', async () => {
  const path = join(newFolder(), 'x.json');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      writeFileSync(path, bytes);
      const { problems } = await loadMcpConfig(path, { env });
      expect(problems.length).toBeLessThan(200);
    }),
    { numRuns: 100 },
  );
});

const value = fc.oneof(
  fc.string(),
  fc.constantFrom(
    `\${A}`,
    `\${env:A}`,
    '$A',
    `\${B:-x}`,
    `\${input:i}`,
    `\${file:/etc/passwd}`,
    '~',
    'stdio',
    'http',
    'https://x',
  ),
  fc.boolean(),
  fc.double(),
  fc.constant(null),
  fc.array(fc.oneof(fc.string(), fc.integer()), { maxLength: 3 }),
  fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.constant(`\${A}`)), { maxKeys: 3 }),
);
const keys = [
  'command',
  'args',
  'env',
  'cwd',
  'url',
  'type',
  'headers',
  'disabled',
  'envFile',
  'sharing',
  'maxInstances',
  'health',
];
const entry = fc.oneof(value, fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 6 }));
const object = fc.record(
  {
    mcpServers: fc.dictionary(fc.string(), entry, { maxKeys: 5 }),
    servers: fc.dictionary(fc.string(), entry, { maxKeys: 5 }),
    mcp_servers: fc.dictionary(fc.string(), entry, { maxKeys: 5 }),
    inputs: fc.oneof(value, fc.constant([{ id: 'i', default: 'd' }])),
    pool: value,
  },
  { requiredKeys: [] },
);

it('[CONFIG-8] any object is read or refused, by the rules of each host', async () => {
  const formats = fc.constantFrom(undefined, ...FORMAT_NAMES);
  await fc.assert(
    fc.asyncProperty(object, formats, async (source, format) => {
      checkSound(await loadMcpConfig(source, { env, format }), '');
    }),
    { numRuns: RUNS },
  );
});

it('[CONFIG-8] nesting, length and many placeholders cost no more than their size', async () => {
  const path = join(newFolder(), 'x.json');
  const texts = [
    '['.repeat(200_000),
    `{"mcpServers":${'{"a":'.repeat(100_000)}`,
    `{"mcpServers":{"a":{"command":"a","args":["${`\${`.repeat(100_000)}"]}}}`,
    `{"mcpServers":{"a":{"command":"a","env":{"X":"${'%A'.repeat(100_000)}"}}}}`,
    `{"mcpServers":{"a":{"command":"a"${' '.repeat(1_000_000)},}}}`,
  ];
  for (const text of texts) {
    writeFileSync(path, text);
    for (const format of [undefined, 'gemini-cli', 'claude-code', 'codex'] as const)
      expect((await loadMcpConfig(path, { env, format })).problems.length).toBeLessThanOrEqual(2);
  }
});
