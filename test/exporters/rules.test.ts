import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { collectPool } from '../../src/prometheus.js';
import { setUp } from '../helpers/fake-pool.js';
import { obstacleToPromtool, promtool } from '../helpers/promtool.js';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const RULES = fileURLToPath(new URL('../../docs/prometheus-rules.yml', import.meta.url));
const TESTS = fileURLToPath(new URL('prometheus-rules.test.yml', import.meta.url));

/** Every name that a pool exports, with those of the parts of a histogram, and the labels of each. */
async function exported(): Promise<Map<string, readonly string[]>> {
  const { pool } = setUp({ servers: { a: { command: 'fake' } } });
  const register = new Registry();
  collectPool(pool, { register, tenantLabels: 1 });
  const metrics = (await register.getMetricsAsJSON()).flatMap(({ name, type }) => {
    const { labelNames } = register.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
    if (String(type) !== 'histogram') return [[name, labelNames] as const];
    return ['_bucket', '_sum', '_count'].map((part) => [`${name}${part}`, [...labelNames, 'le']] as const);
  });
  return new Map(metrics);
}

/** The metrics that a text of queries names. */
const named = (text: string) => [...new Set(text.match(/\bmcp_pool_\w+/g) ?? [])];

describe('docs/grafana-dashboard.json', () => {
  const dashboard = JSON.parse(read('../../docs/grafana-dashboard.json')) as {
    readonly uid: string;
    readonly panels: readonly {
      readonly id: number;
      readonly title: string;
      readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
      readonly targets?: readonly { readonly expr: string }[];
    }[];
    readonly templating: { readonly list: readonly { readonly query?: unknown }[] };
  };

  it('[PROM-5] queries metrics that exist, by labels that they have', async () => {
    const metrics = await exported();
    const queries = dashboard.panels.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);
    expect(queries.length).toBeGreaterThan(15);
    const all = [...queries, JSON.stringify(dashboard.templating)].join('\n');
    expect(named(all).filter((name) => !metrics.has(name))).toEqual([]);
    for (const [, name = '', selector = ''] of all.matchAll(/\b(mcp_pool_\w+)\{([^}]*)\}/g)) {
      const labels = [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label);
      expect(labels.filter((label) => !['job', 'instance', ...(metrics.get(name) ?? [])].includes(label))).toEqual([]);
    }
  });

  it('[PROM-5] has panels with ids and places of their own', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('docs/prometheus-rules.yml', () => {
  it('[PROM-5] uses metrics that exist; each alert has a test', async () => {
    const metrics = await exported();
    const rules = read('../../docs/prometheus-rules.yml');
    expect(named(rules).length).toBeGreaterThan(8);
    expect(named(rules).filter((name) => !metrics.has(name))).toEqual([]);
    const tests = read('prometheus-rules.test.yml');
    const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, alert = '']) => alert);
    expect(alerts.filter((alert) => !new RegExp(`${alert}\\b`).test(tests))).toEqual([]);
    expect(named(tests).filter((name) => !metrics.has(name))).toEqual([]);
  });

  it('[PROM-5] is accepted by promtool, and fires as its tests say', ({ skip }) => {
    const obstacle = obstacleToPromtool();
    if (obstacle !== undefined) return skip(obstacle);
    expect(promtool(['check', 'rules', RULES])).toMatchObject({ code: 0 });
    const { code, output } = promtool(['test', 'rules', TESTS]);
    expect(output).toContain('SUCCESS');
    expect(code).toBe(0);
  });
});
