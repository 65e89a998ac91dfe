import { readFileSync } from 'node:fs';
import { type OpenMetricsContentType, Registry } from 'prom-client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ALERT_KINDS, ALERT_SEVERITIES } from '../src/config/alert.js';
import { FIGURES } from '../src/exporters/figures.js';
import { METHODS } from '../src/exporters/method-label.js';
import { type MCPServerPool, POOL_EVENTS } from '../src/index.js';
import { LEVELS } from '../src/monitor/level.js';
import { collectPool } from '../src/prometheus.js';
import { RawClient } from './helpers/client.js';
import { leases, setUp, shared } from './helpers/fake-pool.js';
import { setUpMeasured } from './helpers/measured-pool.js';
import { printed, valuesOf } from './helpers/printed.js';
import { obstacleToPromtool, promtool } from './helpers/promtool.js';
import { flush, rejection } from './helpers/until.js';

const page = readFileSync(new URL('../docs/observability.md', import.meta.url), 'utf8');

afterEach(() => {
  vi.restoreAllMocks();
});

/** How many listeners each event has. */
const listeners = (pool: MCPServerPool) => POOL_EVENTS.map((event) => pool.listenerCount(event));

/** Connects a client to a lease of server `a`, with everything that is counted. */
async function busy(pool: MCPServerPool) {
  const lease = await pool.getServer('a', { tenant: 't' });
  const client = await RawClient.connect(lease.transport);
  await client.request('tools/list');
  await client.request('tools/call', { name: 'x' });
  return { lease, client };
}

describe('collectPool()', () => {
  it('[PROM-1] names, explains and types every metric as Prometheus asks for; the page lists each with its labels', async () => {
    const { pool } = setUp({ servers: { a: { command: 'fake' } } });
    const register = new Registry();
    collectPool(pool, { register, tenantLabels: 5 });
    await busy(pool);
    const rows = [...page.matchAll(/^\| `(mcp_pool_\w+)` +\| (counter|gauge|histogram) +\| (.*?) *\| (.*?) *\|$/gm)];
    const documented = rows.map(([, name, type, labels = '']) => ({
      ...{ name, type },
      labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    }));
    const actual = (await register.getMetricsAsJSON()).map(({ name, type }) => {
      const { labelNames } = register.getSingleMetric(name) as unknown as { labelNames: string[] };
      return { name, type: String(type), labels: [...labelNames] };
    });
    const byName = (one: { name?: string | undefined }, other: { name?: string | undefined }) =>
      String(one.name).localeCompare(String(other.name));
    expect(documented.sort(byName)).toEqual(actual.sort(byName));
    for (const { name, help, type } of await register.getMetricsAsJSON()) {
      expect(help, name).toMatch(/^[A-Z].*\.$/);
      expect(name.endsWith('_total'), name).toBe(String(type) === 'counter');
    }
  });

  it('[PROM-1] prints what promtool accepts', async ({ skip }) => {
    const obstacle = obstacleToPromtool();
    if (obstacle !== undefined) return skip(obstacle);
    const { pool, server, pass } = setUpMeasured({ servers: { 'a "b" \\ c': { command: 'fake', sharing: 'shared' } } });
    const register = new Registry();
    collectPool(pool, { register, tenantLabels: 5 });
    const lease = await pool.getServer('a "b" \\ c', { tenant: 'line\nbreak' });
    const client = await RawClient.connect(lease.transport);
    await client.request('tools/list');
    server(0).load = { memoryMB: 12.5, cpuPercent: 3 };
    await pass(20_000);
    const text = await register.metrics();
    expect(text).toContain('mcp_pool_server_memory_bytes');
    expect(promtool(['check', 'metrics'], text)).toEqual({ code: 0, output: '' });
  });

  it('[PROM-2] has the figures of status(), metrics() and the monitor at the time of the scrape', async () => {
    const { pool, server, pass } = setUpMeasured({
      servers: { a: { command: 'fake', sharing: 'shared' }, b: { command: 'fake' } },
      limits: { maxProcesses: 7 },
    });
    const register = new Registry();
    collectPool(pool, { register });
    const before = await printed(register);
    expect(before.get('mcp_pool_slots_used')).toBe(0);
    expect(before.has('mcp_pool_unexpected_processes')).toBe(false);
    for (let count = 0; count < 3; count++) await pool.getServer('a');
    (await pool.getServer('b')).release();
    server(0).load = { memoryMB: 20, cpuPercent: 50, processes: 3 };
    await pass(20_000);
    const after = await printed(register);
    const expected = {
      mcp_pool_slots_used: 2,
      mcp_pool_slots_limit: 7,
      mcp_pool_idle_instances: 1,
      mcp_pool_leases: 3,
      mcp_pool_level: 0,
      mcp_pool_os_processes: 4,
      mcp_pool_memory_bytes: 30 * 1_048_576,
      mcp_pool_starts_total: 2,
      mcp_pool_leases_acquired_total: 4,
      mcp_pool_leases_released_total: 1,
      mcp_pool_cleanup_success_ratio: 1,
      'mcp_pool_server_leases{server="a"}': 3,
      'mcp_pool_server_idle_instances{server="b"}': 1,
      'mcp_pool_server_os_processes{server="a"}': 3,
      'mcp_pool_server_memory_bytes{server="a"}': 20 * 1_048_576,
      'mcp_pool_server_instances{server="a",state="ready"}': 1,
      'mcp_pool_server_instances{server="a",state="quarantined"}': 0,
    };
    for (const [name, value] of Object.entries(expected))
      expect({ [name]: after.get(name) }).toEqual({ [name]: value });
    expect(after.get('mcp_pool_server_cpu_cores{server="a"}')).toBeCloseTo(0.5, 1);
    expect(after.get('mcp_pool_uptime_seconds')).toBeCloseTo(20, 1);
    // No tenant unless it is asked for.
    expect([...after.keys()].filter((name) => name.includes('tenant'))).toEqual([]);
  });

  it('[PROM-2] prints a pool without a cap, and one that is closed', async () => {
    const { pool } = setUp({ servers: { a: { command: 'fake' } }, limits: { maxProcesses: Infinity } });
    const register = new Registry();
    collectPool(pool, { register });
    expect((await printed(register)).get('mcp_pool_slots_limit')).toBe(Infinity);
    await pool.getServer('a');
    await pool.shutdown();
    const closed = await printed(register);
    expect(closed.get('mcp_pool_slots_used')).toBe(0);
    expect(closed.get('mcp_pool_ends_total')).toBe(1);
  });

  it('[PROM-2] counts calls and requests by server, method and outcome, crashes and restarts', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...shared, restart: { maxRestarts: 0 } } } });
    const register = new Registry();
    collectPool(pool, { register, tenantLabels: 5 });
    const { client } = await busy(pool);
    launcher.last.onRequest = ({ id, params }) => {
      const { name } = (params ?? {}) as { name?: string };
      if (name === 'fails') return { isError: true, content: [] };
      if (name !== 'refused') return {};
      launcher.last.say({ jsonrpc: '2.0', id, error: { code: -32_602, message: 'no' } });
      return undefined;
    };
    await client.request('tools/call', { name: 'fails' });
    await rejection(client.request('tools/call', { name: 'refused' }));
    await client.request('made/up');
    launcher.last.onRequest = () => undefined;
    const lost = rejection(client.request('tools/call', { name: 'never' }));
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await lost;
    await clock.advanceAndFlush(1_000);
    await rejection(pool.getServer('a', { tenant: 't', timeout: 5 }));
    const series = await printed(register);
    const of = (name: string) => series.get(`mcp_pool_${name}`);
    expect(of('requests_total{server="a",outcome="tool-error"}')).toBe(1);
    expect(of('requests_total{server="a",outcome="error"}')).toBe(1);
    expect(of('requests_total{server="a",outcome="lost"}')).toBe(1);
    expect(of('tenant_requests_total{tenant="t",outcome="lost"}')).toBe(1);
    expect(of('request_duration_seconds_count{server="a",method="tools/call"}')).toBe(4);
    expect(of('request_duration_seconds_count{server="a",method="other"}')).toBe(1);
    expect(of('request_duration_seconds_bucket{le="+Inf",server="a",method="tools/call"}')).toBe(4);
    expect(of('acquire_duration_seconds_count{server="a"}')).toBe(1);
    expect(of('server_crashes_total{server="a"}')).toBe(1);
    expect(of('server_rejected_calls_total{server="a",code="BREAKER_OPEN"}')).toBe(1);
    expect(of('server_open_breakers{server="a"}')).toBe(1);
    expect(of('stuck_total{kind="request"}')).toBe(0);
  });

  it('[PROM-2] every counter of a server begins with 0, so that its first count has a rate', async () => {
    const { pool } = setUp({ servers: { a: { command: 'fake' } } });
    const register = new Registry();
    collectPool(pool, { register });
    const series = await printed(register);
    for (const name of ['server_crashes_total{server="a"}', 'requests_total{server="a",outcome="lost"}'])
      expect(series.get(`mcp_pool_${name}`)).toBe(0);
    pool.addServer('b', { command: 'fake' });
    expect((await printed(register)).get('mcp_pool_server_crashes_total{server="b"}')).toBe(0);
  });

  it('[PROM-2] has the alerts that are raised, by every kind and severity that there is', async () => {
    const { pool, clock } = setUp({ servers: { a: { command: 'fake' } } });
    const register = new Registry();
    collectPool(pool, { register });
    pool.alerts.raise({ kind: 'leak', subject: { name: 'a' }, severity: 'warning', message: 'it leaks' });
    await clock.advanceAndFlush(60_000);
    const series = await printed(register);
    expect(series.get('mcp_pool_alerts{kind="leak",severity="warning"}')).toBe(1);
    expect(series.get('mcp_pool_alerts{kind="stuck",severity="critical"}')).toBe(0);
    const alerts = new Map([...series].filter(([name]) => name.startsWith('mcp_pool_alerts{')));
    expect([...valuesOf(alerts, 'kind')]).toEqual(ALERT_KINDS);
    expect([...valuesOf(alerts, 'severity')]).toEqual(ALERT_SEVERITIES);
  });

  it('[PROM-2] has a number for each level, the lowest 0', () => {
    const figure = FIGURES.find(({ name }) => name === 'level');
    const numbers: number[] = [];
    for (const level of LEVELS) figure?.read({ status: { level } } as never, (value) => numbers.push(value));
    expect(numbers).toEqual(LEVELS.map((_, index) => index));
  });

  it('[PROM-2] looks at the pool once for each scrape', async () => {
    const { pool } = setUp({ servers: { a: { command: 'fake' } } });
    const register = new Registry();
    collectPool(pool, { register });
    const status = vi.spyOn(pool, 'status');
    await register.metrics();
    await register.getMetricsAsJSON();
    expect(status).toHaveBeenCalledTimes(2);
  });

  it('[PROM-3] 1,000 tenants have no label, or as many as were asked for and one for the rest', async () => {
    const { pool } = setUp({
      servers: { a: { command: 'fake', maxInstances: Infinity } },
      limits: { maxProcesses: Infinity, concurrentStarts: 1_000 },
    });
    const registers = [new Registry(), new Registry()] as const;
    collectPool(pool, { register: registers[0] });
    collectPool(pool, { register: registers[1], tenantLabels: 50 });
    const tenants = Array.from({ length: 1_000 }, (_, index) => `tenant ${index}`);
    const all = await Promise.all(tenants.map((tenant) => pool.getServer('a', { tenant })));
    for (const { transport } of all.slice(0, 100)) await (await RawClient.connect(transport)).request('tools/list');
    const [plain, labelled] = [await printed(registers[0]), await printed(registers[1])];
    expect([...plain.keys()].join()).not.toContain('tenant');
    expect(plain.size).toBeLessThan(150);
    expect(valuesOf(labelled, 'tenant').size).toBe(51);
    expect(labelled.get('mcp_pool_tenant_leases{tenant="other"}')).toBe(950);
    expect(labelled.get('mcp_pool_tenant_leases{tenant="tenant 7"}')).toBe(1);
    // Those that are gone make room for those of now.
    for (const lease of all) lease.release();
    for (const tenant of tenants) pool.releaseTenant(tenant);
    await flush();
    await pool.getServer('a', { tenant: 'late' });
    expect(valuesOf(await printed(registers[1]), 'tenant')).toEqual(new Set(['late', 'other']));
  });

  it('[PROM-3] 1,000 servers, and methods that clients invent, have bounded labels', async () => {
    const servers = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`s${index}`, { command: 'fake' }]));
    const { pool } = setUp({ servers: { ...servers, a: shared } });
    const register = new Registry();
    collectPool(pool, { register });
    const [one] = await leases(pool, 1);
    for (let index = 0; index < 100; index++) await one?.client.request(`made/up/${index}`);
    for (let index = 0; index < 20; index++) {
      pool.removeServer(`s${index}`).catch(() => {});
      pool.addServer(`later ${index}`, { command: 'fake' });
      await register.metrics();
    }
    const series = await printed(register);
    expect(valuesOf(series, 'server').size).toBeLessThanOrEqual(501);
    expect([...valuesOf(series, 'method')].every((method) => (METHODS as readonly string[]).includes(method))).toBe(
      true,
    );
    // Nothing of the others is lost, it is added up.
    const defined = [...series].filter(([name]) => name.startsWith('mcp_pool_server_leases{'));
    expect(defined.reduce((sum, [, value]) => sum + value, 0)).toBe(1);
  });

  it('[PROM-4] what it returns takes all of it away again, and nothing of the host', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const before = listeners(pool);
    const register = new Registry();
    const remove = collectPool(pool, { register });
    await busy(pool);
    remove();
    expect(await register.getMetricsAsJSON()).toEqual([]);
    expect(listeners(pool)).toEqual(before);
    // The names are free, also for the same pool, and a second call takes nothing of that away.
    collectPool(pool, { register });
    remove();
    expect((await printed(register)).get('mcp_pool_leases')).toBe(1);
  });

  it('[PROM-4] two pools of one registry need two prefixes; one that is refused leaves nothing behind', async () => {
    const [one, two] = [setUp({ servers: { a: shared } }), setUp({ servers: { b: shared } })];
    const register = new Registry();
    collectPool(one.pool, { register });
    const names = (await register.getMetricsAsJSON()).map(({ name }) => name);
    const before = listeners(two.pool);
    expect(() => collectPool(two.pool, { register })).toThrow(/already been registered/);
    expect(listeners(two.pool)).toEqual(before);
    expect((await register.getMetricsAsJSON()).map(({ name }) => name)).toEqual(names);
    collectPool(two.pool, { register, prefix: 'second_' });
    await two.pool.getServer('b');
    const series = await printed(register);
    expect([series.get('mcp_pool_leases'), series.get('second_leases')]).toEqual([0, 1]);
    // Requests of the one are not those of the other.
    await busy(one.pool);
    expect(
      [...(await printed(register)).keys()].filter((name) => name.startsWith('second_requests_total{server="a"')),
    ).toEqual([]);
  });

  it('[PROM-4] works with the format OpenMetrics', async () => {
    const { pool } = setUp({ servers: { a: shared } });
    const register = new Registry<OpenMetricsContentType>();
    register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    const remove = collectPool(pool, { register });
    await busy(pool);
    const text = await register.metrics();
    expect(text).toContain('mcp_pool_leases_acquired_total 1');
    expect(text).toMatch(/# EOF\n$/);
    remove();
    expect(await register.getMetricsAsJSON()).toEqual([]);
  });

  it.each([
    ['no registry', {}],
    ['a registry that is none', { register: {} }],
    ['a prefix that is no name', { register: new Registry(), prefix: '1 ' }],
    ['too many tenants', { register: new Registry(), tenantLabels: 1_001 }],
    ['tenants that are no number', { register: new Registry(), tenantLabels: true }],
    ['nothing', undefined],
  ])('[PROM-4] refuses %s', (_what, options) => {
    const { pool } = setUp({ servers: { a: shared } });
    expect(() => collectPool(pool, options as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
  });
});
