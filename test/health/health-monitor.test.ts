import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { HealthChange } from '../../src/health/health-events.js';
import { HealthMonitor } from '../../src/index.js';
import { ManualClock } from '../helpers/clock.js';
import { flush } from '../helpers/until.js';

function setUp(overload: () => string | undefined = () => undefined) {
  const clock = new ManualClock();
  const health = new HealthMonitor({ clock, overload });
  const changes: HealthChange[] = [];
  health.on('health:changed', (change) => void changes.push(change));
  onTestFinished(async () => {
    for (const { id } of health.status()) health.remove(id);
    await flush();
    expect(clock.pending).toBe(0);
  });
  return { clock, health, changes, statuses: () => changes.map(({ to }) => to) };
}

const fine = () => {};
const bad = () => {
  throw new Error('the index is empty');
};

describe('a health monitor alone', () => {
  it('[HEALTH-7] checks a function again and again, and reports what changes', async () => {
    const { clock, health, changes, statuses } = setUp();
    let check = fine;
    health.add({ id: 'x', name: 'search', check: () => check() });
    expect(health.status()).toMatchObject([{ id: 'x', name: 'search', status: undefined }]);
    await clock.advanceAndFlush(60_000);
    expect(health.status()).toMatchObject([{ status: 'healthy', misses: 0 }]);
    check = bad;
    await clock.advanceAndFlush(180_000);
    check = fine;
    await clock.advanceAndFlush(60_000);
    expect(statuses()).toEqual(['degraded', 'unhealthy', 'healthy']);
    expect(changes[1]).toMatchObject({ id: 'x', name: 'search', from: 'degraded', reason: 'the index is empty' });
    expect(changes[1]?.action).not.toBe('');
    health.remove('x');
    await clock.advanceAndFlush(600_000);
    expect(statuses()).toHaveLength(3);
  });

  it('[HEALTH-7] ends a check that hangs, tells it so, and goes on; the next check is not begun before', async () => {
    const { clock, health, statuses } = setUp();
    const signals: AbortSignal[] = [];
    const check = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    health.add({ id: 'x', name: 'x', check, interval: 1_000, timeout: 1_000 });
    await clock.advanceAndFlush(1_000);
    expect(signals).toHaveLength(1);
    await clock.advanceAndFlush(1_000);
    await flush();
    expect(signals[0]?.aborted).toBe(true);
    await clock.advanceAndFlush(10_000);
    expect(statuses()).toEqual(['degraded', 'unhealthy']);
    expect(signals.length).toBeGreaterThan(2);
    expect(signals.slice(0, -1).every(({ aborted }) => aborted)).toBe(true);
  });

  it('[HEALTH-7] a check that ends after its server was removed has no effect', async () => {
    const { clock, health, changes } = setUp();
    let end = fine;
    health.add({ id: 'x', name: 'x', check: () => new Promise<void>((resolve) => (end = resolve)) });
    const checking = health.checkNow('x');
    await flush();
    expect(health.remove('x')).toBe(true);
    end();
    await checking;
    await clock.advanceAndFlush(600_000);
    expect([changes, health.status(), await health.checkNow('x')]).toEqual([[], [], undefined]);
  });

  it('[HEALTH-7] what fails on the way to a check shows nothing of the server, and ends no host', async () => {
    const { clock, health, statuses } = setUp(() => {
      throw new Error('the load cannot be read');
    });
    health.add({ id: 'x', name: 'x', check: bad });
    await clock.advanceAndFlush(600_000);
    expect(statuses()).toEqual([]);
    expect(health.status()[0]?.reason).toContain('the load cannot be read');
  });

  it('[HEALTH-7] calls at the same time share one check', async () => {
    const { health } = setUp();
    let checks = 0;
    health.add({ id: 'x', name: 'x', check: () => checks++ });
    const reports = await Promise.all([health.checkNow('x'), health.checkNow('x')]);
    expect(checks).toBe(1);
    expect(reports).toMatchObject([{ status: 'healthy' }, { status: 'healthy' }]);
  });

  it('[HEALTH-3] a miss does not count while the machine is overloaded, or the timers of the host are late', async () => {
    let load: string | undefined = 'the machine is overloaded';
    const { clock, health, statuses } = setUp(() => load);
    health.add({ id: 'x', name: 'x', check: bad });
    await clock.advanceAndFlush(600_000);
    expect(statuses()).toEqual([]);
    load = undefined;
    await clock.advanceAndFlush(30_000);
    expect(statuses()).toEqual(['degraded']);
    health.remove('x');
    health.add({ id: 'y', name: 'y', check: () => new Promise(() => {}), interval: 10_000, timeout: 1_000 });
    const checking = health.checkNow('y');
    await flush();
    // The host does nothing for 20 s: its timers are that late.
    clock.lag(20_000);
    await clock.advanceAndFlush(1);
    await flush();
    expect(await checking).toMatchObject({ status: undefined, misses: 0 });
  });

  it('[HEALTH-7] checks an address: a status below 400 is an answer, a refused connection is none', async () => {
    const { health } = setUp();
    let status = 204;
    const server = createServer((_request, response) => response.writeHead(status).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
    health.add({ id: 'x', name: 'x', check: { url } });
    expect(await health.checkNow('x')).toMatchObject({ status: 'healthy', reason: expect.stringContaining('204') });
    status = 503;
    expect(await health.checkNow('x')).toMatchObject({ status: 'degraded', reason: expect.stringContaining('503') });
    await new Promise((resolve) => server.close(resolve));
    expect(await health.checkNow('x')).toMatchObject({ status: 'degraded', misses: 2 });
  });

  it.each<[string, unknown]>([
    ['no id', { name: 'x', check: fine }],
    ['no check', { id: 'x', name: 'x' }],
    ["'ping', which only a pool can send", { id: 'x', name: 'x', check: 'ping' }],
    ['no address', { id: 'x', name: 'x', check: { url: 'nowhere' } }],
    ['an address that is not HTTP', { id: 'x', name: 'x', check: { url: 'file:///etc/passwd' } }],
    ['a field too much', { id: 'x', name: 'x', check: { url: 'http://a', header: 'b' } }],
    ['an interval in seconds', { id: 'x', name: 'x', check: fine, interval: 30 }],
  ])('[HEALTH-7] refuses %s', (_what, check) => {
    const { health } = setUp();
    expect(() => health.add(check as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }) as PoolError);
    expect(health.status()).toEqual([]);
  });

  it('[HEALTH-7] what is removed while it is unwell is told to be so no longer; close() ends all checks', async () => {
    const { clock, health, changes } = setUp();
    health.add({ id: 'x', name: 'db', check: () => Promise.reject(new Error(`<html>${'x'.repeat(10_000)}\n`)) });
    await clock.advanceAndFlush(30_000);
    expect(changes[0]?.reason.length).toBeLessThan(400);
    expect(changes[0]?.reason).not.toContain('\n');
    health.remove('x');
    expect(changes.slice(1)).toMatchObject([{ id: 'x', name: 'db', from: 'degraded', to: 'healthy' }]);
    health.add({ id: 'y', name: 'y', check: bad });
    health.close();
    await clock.advanceAndFlush(600_000);
    expect([changes.length, health.status()]).toEqual([2, []]);
  });

  it('[HEALTH-7] refuses an id that is taken', () => {
    const { health } = setUp();
    health.add({ id: 'x', name: 'x', check: fine });
    expect(() => health.add({ id: 'x', name: 'y', check: fine })).toThrow(/taken/);
    expect(health.remove('z')).toBe(false);
  });

  it('[HEALTH-10] its verdict is that of what was added, and since when it is so', async () => {
    const { health } = setUp();
    const isFine = new Map([
      ['a', true],
      ['b', true],
    ]);
    for (const name of isFine.keys())
      health.add({ id: name, name, check: () => (isFine.get(name) ? undefined : Promise.reject(new Error('no'))) });
    const check = async () => {
      for (const id of isFine.keys()) for (let times = 0; times < 3; times += 1) await health.checkNow(id);
      return health.verdict();
    };
    const first = await check();
    expect(first.status).toBe('ok');
    expect(health.verdict().since).toBe(first.since);
    isFine.set('a', false);
    expect((await check()).status).toBe('degraded');
    isFine.set('b', false);
    const last = await check();
    expect(last.status).toBe('down');
    expect(last.checks.find(({ name }) => name === 'b')).toMatchObject({ status: 'down' });
    expect(health.verdict({ probe: 'liveness' }).status).toBe('ok');
    expect(() => health.verdict({ probe: 'ready' } as never)).toThrow(/probe must be one of/);
  });
});
