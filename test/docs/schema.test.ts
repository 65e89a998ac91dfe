import { readdirSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { parse } from 'jsonc-parser';
import { describe, expect, it } from 'vitest';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { catalog } from './catalog.js';
import { fileSchema, schemaOf } from './schema.js';

const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
const isFile = ajv.compile(fileSchema());
const root = new URL('../../', import.meta.url);

function problemsOf(file: unknown): string[] {
  return isFile(file) ? [] : (isFile.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** Near the bounds of numbers, and near the words, that options have. */
const value = fc.oneof(
  fc.integer({ min: -2, max: 101 }),
  fc.constantFrom(0.5, 99.9, 100, 999, 1_000, 4_000, 511, 512, 10_000_000, 10_000_001, 1e15, -1, 1.5),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom(
    '',
    ' ',
    'auto',
    'shared',
    'ping',
    'stdio',
    'report',
    '/var',
    'relative',
    'wait',
    'restart',
    'x'.repeat(101),
  ),
  fc.stringMatching(/^[ -~]{0,20}$/),
  fc.array(fc.oneof(fc.constantFrom('end-idle', 'a', ''), fc.integer()), { maxLength: 3 }),
  fc.constantFrom(
    {},
    { url: 'http://localhost/health' },
    { url: 'ftp://localhost' },
    { url: 'https://localhost', more: 1 },
    { name: 'host', version: '1' },
    { name: 'host' },
    { A: 'b' },
    { 'A=': 'b' },
    { A: 1 },
    { '/tmp': 1_024 },
    { tmp: 1_024 },
  ),
);

/** What these hold is checked where it is read, by tables or functions of their own. */
const DEEPER = ['dependsOn', 'monitoring.folders', 'limits.requires.freeDiskMB'];

describe('an option and its schema', () => {
  const checked = [...catalog()].filter(
    ([path, field]) => field.fieldsOf !== 'object' && schemaOf(field) !== undefined && !DEEPER.includes(path),
  );

  it.each(checked)('[SCHEMA-3] %s: agree on every value', (_path, field) => {
    const accepts = ajv.compile(schemaOf(field) ?? false);
    fc.assert(
      fc.property(value, (given) => {
        expect({ given, accepted: accepts(given) }).toEqual({ given, accepted: field.check(given) === undefined });
      }),
      { numRuns: 200 },
    );
  });

  it('[SCHEMA-3] its default is a value that it accepts', () => {
    for (const [path, field] of catalog()) {
      const schema = schemaOf(field);
      if (schema !== undefined && 'default' in schema)
        expect({ path, ok: ajv.validate(schema, schema.default) }).toEqual({ path, ok: true });
    }
  });
});

describe('the schema of a configuration file', () => {
  const file = {
    $schema: './node_modules/mcp-server-pool/docs/schema.json',
    mcpServers: {
      files: {
        command: 'npx',
        args: ['-y', 'files-mcp', '/data'],
        env: { TOKEN: `\${TOKEN}` },
        sharing: 'shared',
        maxInstances: 2,
        idleTimeout: 60_000,
        health: { check: { url: 'http://localhost:1/health' }, interval: 5_000 },
        dependsOn: { db: { condition: 'healthy' } },
        // Of a host: it is kept aside.
        autoApprove: ['read'],
      },
      db: { command: 'db-mcp', dependsOn: [], disabled: true },
      remote: { type: 'http', url: 'https://example.com/mcp', headers: { Authorization: 'Bearer x' } },
    },
    pool: {
      limits: { maxProcesses: 'auto', memoryLimitMB: 3_072, requires: { freeDiskMB: { '/tmp': 1_024 } } },
      defaults: { idleTimeout: 60_000, rlimits: { core: false } },
      monitoring: {
        levels: { enforce: true, actions: { critical: ['end-idle'] } },
        folders: [{ path: '/tmp/x', limitMB: 5 }],
      },
      alerts: { for: 0 },
      audit: { path: '/var/log/pool.jsonl' },
      containment: 'markers',
      shutdownTimeout: 10_000,
    },
  };

  it('[SCHEMA-4] accepts files of hosts, with policy; and so does the pool', () => {
    expect(problemsOf(file)).toEqual([]);
    const { files } = file.mcpServers;
    const { autoApprove: _kept, env: _env, ...definition } = files;
    resolvePoolOptions({ ...file.pool, servers: { files: definition, db: { command: 'db-mcp' } } } as never);
    expect(problemsOf({ mcpServers: {}, theme: 'dark' })).toEqual([]);
    expect(problemsOf({ servers: { a: { command: 'a', env: { PORT: 1, NONE: null } } }, inputs: [] })).toEqual([]);
  });

  it.each([
    [{ mcpServers: { a: { command: '' } } }, '/mcpServers/a/command must match pattern "\\S"'],
    [{ mcpServers: { a: { args: [] } } }, "/mcpServers/a must have required property 'command'"],
    [{ mcpServers: { a: { command: 'a', idleTimeout: '60s' } } }, '/mcpServers/a/idleTimeout must be number'],
    [{ mcpServers: { a: { command: 'a', env: { PORT: 1 } } } }, '/mcpServers/a/env/PORT must be string'],
    [
      { mcpServers: { a: { command: 'a', sharing: 'both' } } },
      '/mcpServers/a/sharing must be equal to one of the allowed values',
    ],
    [{ pool: { limit: {} } }, '/pool must NOT have additional properties'],
    [{ pool: { defaults: { idleTimeot: 1 } } }, '/pool/defaults must NOT have additional properties'],
    [{ pool: { limits: { maxProcesses: 0 } } }, '/pool/limits/maxProcesses must be >= 1'],
    [{ pool: { servers: {} } }, '/pool must NOT have additional properties'],
    [{ pool: { handleSignals: true } }, '/pool must NOT have additional properties'],
    [{ pool: { alerts: { tiers: [] } } }, '/pool/alerts must NOT have additional properties'],
  ])('[SCHEMA-4] finds what is wrong in %j', (wrong, problem) => {
    expect(problemsOf(wrong)).toContain(problem);
  });

  it('[SCHEMA-4] marks those files of the corpus whose shape is wrong, and no others', () => {
    const folder = new URL('test/fixtures/configs/', root);
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    expect(files.length).toBeGreaterThan(30);
    const marked = files.filter((name) => {
      // As an editor reads it: with comments, and what is written so far.
      const text = readFileSync(new URL(name, folder), 'utf8').replace(/^\uFEFF/, '');
      return problemsOf(parse(text, [], { allowTrailingComma: true })).length > 0;
    });
    expect(marked).toEqual([
      'array.json',
      'cline-wrong-switch.json',
      'empty.json',
      'pool-policy-wrong.json',
      'pool-with-servers.json',
      'wrong-entries.json',
    ]);
  });

  it('[SCHEMA-2] is what the package exports', () => {
    const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    const path = manifest.exports['./schema.json'];
    expect(JSON.parse(readFileSync(new URL(path, root), 'utf8'))).toEqual(fileSchema());
    expect(manifest.files).toContain(path.split('/')[1]);
  });
});
