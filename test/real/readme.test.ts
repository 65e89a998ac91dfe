import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  resolveAcquireOptions,
  resolveDrainOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
} from '../../src/config/call-options.js';
import { ALERT_LEVELS } from '../../src/config/monitoring-options.js';
import type { PoolOptions, SingleServerOptions } from '../../src/config/options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { MCPServerPool, ResourceMonitor } from '../../src/index.js';
import { newCounts } from '../../src/pool/metrics.js';
import { runHost } from '../helpers/host.js';

const MOST_LINES = 300;
const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const readme = read('README.md');
const reference = read('docs/reference.md');
const OPTIONS_PAGE = read('docs/options.md');
const OF_POOL = 'Of the pool and its servers';

/** The rows of the first table of a page below `heading` that has `column` at the head of its first column. */
function table(heading: string, column: string, page = reference): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const lines = section.split('\n');
  const begin = lines.findIndex((line) => line.replace(/ +/g, ' ').startsWith(`| ${column} |`));
  const length = lines.slice(begin).findIndex((line) => !line.startsWith('|'));
  return lines.slice(begin + 2, begin + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function codes(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

/** `300_000`, `'auto'`, `[]`: as it is written in code; anything that is no code means "none". */
function parsed(cell: string): unknown {
  const [code] = codes(cell);
  if (code === undefined) return undefined;
  if (code === 'Infinity') return Infinity;
  return JSON.parse(code.replaceAll('_', '').replaceAll("'", '"'));
}

/** Option → default, by the table of a page. */
function documentedOptions(heading = OF_POOL, page = OPTIONS_PAGE): Map<string, string> {
  const rows = table(heading, 'option', page).filter(([name = '']) => name.startsWith('`'));
  return new Map(rows.map(([name = '', fallback = '']) => [codes(name)[0] ?? '', fallback]));
}

/** For options with a default that says nothing of what they take. */
const VALUES: Readonly<Record<string, unknown>> = {
  command: 'node',
  clientInfo: { name: 'host', version: '1' },
  expectedProcesses: 1,
  memoryLimitMB: 512,
  readyCheck: () => {},
  perTenant: () => undefined,
  'limits.memoryLimitMB': 4_096,
  onCrash: 'close',
  onDependencyExit: 'hold',
  'limits.concurrentStarts': 4,
};

/** Options of a pool with one server, `name` being a path as in the reference. */
function withOption(name: string, value: unknown): PoolOptions | SingleServerOptions {
  const [head = '', tail] = name.split('.');
  const option = tail === undefined ? { [head]: value } : { [head]: { [tail]: value } };
  // It has an effect only there.
  const sharing = name === 'maxSessions' ? { sharing: 'shared' } : {};
  const limit = name === 'cpuWindow' ? { cpuLimitPercent: 50 } : {};
  const takesServers = name === 'servers' || name === 'defaults';
  return { ...(takesServers ? {} : { command: 'node' }), ...sharing, ...limit, ...option } as
    | PoolOptions
    | SingleServerOptions;
}

describe('README and reference', () => {
  it('is at most 300 lines', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(MOST_LINES);
  });

  it('has a host that is probed and scraped, in docs/operations.md [HEALTH-10] [PROM-1]', async () => {
    const [, example = ''] = read('docs/operations.md').match(/```js\n(import \{ createServer.*?)```/s) ?? [];
    const script = example
      .replace(
        "import { MCPServerPool } from 'mcp-server-pool';",
        "const { MCPServerPool } = await import(SRC + '/index.js');",
      )
      .replace(
        "import { collectPool } from 'mcp-server-pool/prometheus';",
        "const { collectPool } = await import(SRC + '/prometheus.js');",
      )
      .replace('createServer((request', 'const server = createServer((request')
      .replace('listen(9_464', 'listen(0');
    const client = `
      if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
      const at = 'http://127.0.0.1:' + server.address().port;
      const probe = await fetch(at + '/health');
      const scrape = await fetch(at + '/metrics');
      const text = await scrape.text();
      console.log(JSON.stringify([probe.status, (await probe.json()).status, scrape.headers.get('content-type'), text.includes('mcp_pool_')]));
      server.close();
      server.closeAllConnections();
      await pool.shutdown();`;

    const { code, stdout, stderr } = await runHost(script + client);

    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual([200, 'ok', expect.stringContaining('text/plain'), true]);
  });

  it('names every option with its default [OPT-5]', () => {
    const { servers, limits: resolved, cleanup, ...pool } = resolvePoolOptions({ command: 'node' });
    const { maxProcessesFrom, ...limits } = resolved;
    expect(maxProcessesFrom).toBe('option');
    const { name, dependencies: dependsOn, ...definition } = servers.values().next().value!;
    const actual = new Map<string, unknown>([
      ...Object.entries({ servers: {}, ...pool, ...definition, dependsOn }),
      ...Object.entries(limits).map(([option, value]): [string, unknown] => [`limits.${option}`, value]),
      ...Object.entries(cleanup).map(([option, value]): [string, unknown] => [`cleanup.${option}`, value]),
    ]);
    const documented = documentedOptions();
    expect([...actual.keys()].filter((option) => !documented.has(option))).toEqual([]);

    // Where what is resolved is not what stands for "not given".
    actual
      .set('sharing', 'auto')
      .set('command', undefined)
      .set('defaults', {})
      .set('onCrash', undefined)
      .set('limits.concurrentStarts', undefined)
      .set('limits.requires', {})
      .set('restart', {})
      .set('health', {})
      .set('guardian', {})
      .set('audit', {})
      .set('alerts', {})
      .set('monitoring', {})
      .set('serviceLevels', {})
      .set('markers', {})
      .set('rlimits', {})
      .set('cgroupLimits', {});
    for (const [option, cell] of documented)
      expect({ [option]: parsed(cell) }).toEqual({ [option]: actual.get(option) });
  });

  it('leaves the fields of health to docs/health.md, which has each with its default [OPT-5]', () => {
    const { servers } = resolvePoolOptions({ command: 'node' });
    const rows = table('Options', 'field', read('docs/health.md'));
    const documented = rows.map(([field = '', cell = '']) => [codes(field)[0], parsed(cell)]);
    expect(Object.fromEntries(documented)).toEqual(servers.get('default')?.health);
  });

  it('leaves the fields of restart to docs/sharing.md, which has each with its default [OPT-5]', () => {
    const { servers } = resolvePoolOptions({ command: 'node' });
    const rows = [...read('docs/sharing.md').matchAll(/^\| `(\w+)` +\| (`[\d_]+`) +\|/gm)];
    const documented = Object.fromEntries(rows.map(([, field = '', cell = '']) => [field, parsed(cell)]));
    expect(documented).toEqual(servers.get('default')?.restart);
  });

  it('leaves the fields of containment to docs/termination.md, which has each [OPT-5]', () => {
    const { servers, guardian } = resolvePoolOptions({ command: 'node' });
    const { markers, rlimits, cgroupLimits } = servers.get('default')!;
    const rows = [
      ...read('docs/termination.md').matchAll(/^\| `((?:markers|rlimits|cgroupLimits|guardian)\.\w+)` +\|(.*?)\|/gm),
    ];
    const documented = Object.fromEntries(rows.map(([, option = '', cell = '']) => [option, parsed(cell)]));
    const actual = Object.entries({ markers, rlimits, cgroupLimits, guardian }).flatMap(([option, fields]) =>
      Object.entries(fields).map(([name, value]) => [`${option}.${name}`, value]),
    );
    expect(documented).toEqual(Object.fromEntries(actual));
  });

  it('leaves the fields of monitoring to docs/monitoring.md, which has each with its default [OPT-7]', () => {
    const { monitoring } = resolvePoolOptions({});
    const { levels, windows, growth, leak, ...rest } = monitoring;
    const { actions, ...thresholds } = levels;
    const sections = Object.entries({ levels: thresholds, windows, growth, leak });
    const actual = new Map<string, unknown>([
      ...Object.entries(rest),
      ...sections.flatMap(([section, fields]) =>
        Object.entries(fields).map(([field, value]): [string, unknown] => [`${section}.${field}`, value]),
      ),
    ]);
    const page = read('docs/monitoring.md');
    const rows = table('Options', 'field', page).map(
      ([field = '', cell = '']) => [codes(field)[0] ?? '', cell] as const,
    );
    const documented = new Map(
      rows.filter(([field]) => field !== 'levels.actions').map(([field, cell]) => [field, parsed(cell)]),
    );
    expect(documented).toEqual(actual);
    const enforced = resolvePoolOptions({ monitoring: { levels: { enforce: true } } }).monitoring.levels.actions;
    const lists = table('Options', 'level', page).map(([level = '', usual = '', strict = '']) => ({
      [codes(level)[0] ?? '']: [codes(usual), codes(strict)],
    }));
    const expected = ALERT_LEVELS.map((level) => ({ [level]: [actions[level], enforced[level]] }));
    expect(lists).toEqual(expected);
  });

  it('leaves the targets of serviceLevels to docs/service-levels.md, which has each with its default [SLO-9]', () => {
    const { targets } = resolvePoolOptions({}).serviceLevels;
    const page = read('docs/service-levels.md');
    const rows = table('Options', 'target', page).map(([name = '', cell = '']) => [codes(name)[0] ?? '', parsed(cell)]);
    expect(Object.fromEntries(rows)).toEqual(targets);
  });

  it('leaves the fields of alerts to docs/alerts.md, which has each with its default [OPT-7]', () => {
    const rows = table('Options', 'field', read('docs/alerts.md'));
    const documented = rows.map(([field = '', cell = '']) => [codes(field)[0], parsed(cell)]);
    expect(Object.fromEntries(documented)).toEqual(resolvePoolOptions({}).alerts);
  });

  it('names options that the pool accepts', async () => {
    for (const [option, cell] of documentedOptions()) {
      const value = VALUES[option] ?? parsed(cell) ?? '/';
      const pool = new MCPServerPool(withOption(option, value));
      await pool.shutdown();
    }
  });

  it('names the options of every call, with their defaults', () => {
    const calls = new Map(table('Calls', 'call').map(([call = '', options = '']) => [codes(call)[0], options]));
    const expected: [string, Record<string, unknown>][] = [
      ['getServer(name, …)', resolveAcquireOptions({})],
      ['warm(name, …)', resolveWarmOptions({})],
      ['updateServer', resolveDrainOptions({})],
      ['shutdown(…)', resolveShutdownOptions({})],
    ];
    for (const [call, options] of expected) {
      const text = calls.get(call) ?? '';
      const given = Object.entries(options).filter(([, value]) => value !== undefined);
      expect(Object.keys(options).filter((option) => !text.includes(`\`${option}\``))).toEqual([]);
      for (const [option, value] of given) {
        const [, cell = ''] = text.match(new RegExp(`\`${option}\` \\((\`[^\`]+\`)`)) ?? [];
        expect({ [option]: parsed(cell) }).toEqual({ [option]: value });
      }
    }
  });

  it('names every method of a monitor and every figure of it', async () => {
    const methods = Object.getOwnPropertyNames(ResourceMonitor.prototype).filter(
      (name) => !['constructor', 'toJSON'].includes(name),
    );
    const documented = table('Calls', 'of a monitor').flatMap(([cell = '']) => codes(cell));
    expect(documented.map((code) => code.replace(/\(.*/, '')).sort()).toEqual(methods.sort());
    const pool = new MCPServerPool({});
    const figures = Object.keys(pool.metrics()).filter((name) => !(name in newCounts()));
    await pool.shutdown();
    const page = read('docs/monitoring.md');
    expect(
      table('Figures for a host', '`metrics()`', page)
        .flatMap(([cell = '']) => codes(cell))
        .sort(),
    ).toEqual(figures.sort());
  });

  it('names the options that most hosts set as the reference does [OPT-5]', () => {
    const few = documentedOptions('Options, events, errors', readme);
    expect(few.size).toBeGreaterThan(0);
    const all = documentedOptions();
    for (const [option, cell] of few) expect({ [option]: cell }).toEqual({ [option]: all.get(option) });
  });
});
