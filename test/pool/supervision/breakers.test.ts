import { describe, expect, it, vi } from 'vitest';
import { PoolError } from '../../../src/errors.js';
import type { PoolEmitter } from '../../../src/pool/events.js';
import type { Fleet } from '../../../src/pool/instances/fleet.js';
import type { PooledInstance } from '../../../src/pool/instances/pooled-instance.js';
import { Breakers } from '../../../src/pool/supervision/breakers.js';
import type { RestartPolicy } from '../../../src/pool/supervision/restart-policy.js';
import { ManualClock } from '../../helpers/clock.js';

// Before the sources: see there.
const { workOf } = await vi.hoisted(() => import('../../helpers/work.js'));

const policy: RestartPolicy = {
  maxRestarts: 0,
  window: 60_000,
  minDelay: 100,
  maxDelay: 30_000,
  stableAfter: 10_000,
  cooldown: 30_000,
};
const FOREVER = { cooldown: Infinity };

function open(restart: Partial<RestartPolicy> = {}) {
  const clock = new ManualClock();
  const closed: (string | undefined)[] = [];
  const emit = (event: string, { tenant }: { tenant?: string }) => event === 'breaker:closed' && closed.push(tenant);
  const emitter = { emit, listenerCount: () => 0 } as unknown as PoolEmitter;
  const entries = new Map();
  const fleet = { entries, changed: () => {} } as unknown as Fleet;
  const breakers = new Breakers(clock, emitter, fleet);
  const instanceOf = (tenant: string) =>
    ({ name: 'a', tenant, definition: { restart: { ...policy, ...restart } } }) as unknown as PooledInstance;
  const fail = (tenant: string) => {
    const data = { name: 'a', exitCode: 1, stderrTail: `of ${tenant} ${'x'.repeat(60_000)}`, dropped: ['banner'] };
    return breakers.failed(
      instanceOf(tenant),
      new PoolError('SERVER_EXITED', `it said ${tenant}`, data, new Error('cause')),
    );
  };
  const failAll = (count: number) => {
    for (let index = 0; index < count; index++) fail(`t${index}`);
  };
  return { clock, breakers, instanceOf, fail, failAll, closed, entries };
}

describe('breakers of many tenants', () => {
  it.each([
    ['open until they are reset', FOREVER],
    ['open', {}],
    ['closed', { maxRestarts: 5 }],
  ])('[BREAKER-4] a failure costs the same however many there are: %s', (_state, restart) => {
    const costs = [10, 990].map((count) => {
      const { fail, failAll } = open(restart);
      failAll(count);
      return workOf(() => {
        for (const tenant of ['n1', 'n2', 'n3', 'n4']) fail(tenant);
      });
    });
    const [few, many] = costs as [(typeof costs)[0], (typeof costs)[0]];
    // A heap of 990 is seven steps deeper than one of 10.
    expect(many.runs, many.busiest.join('\n')).toBeLessThan(2 * few.runs + 400);
    // The first of 51 is taken, four times.
    expect(many.elements).toBeLessThan(few.elements + 250);
  });

  it('[BREAKER-4] that are open until they are reset stay, without the output of their servers', () => {
    const { breakers, fail, failAll, instanceOf, clock } = open(FOREVER);
    failAll(2_000);
    clock.advance(1e12);
    const status = breakers.statusOf('a');
    expect(status).toHaveLength(2_000);
    expect(status.every(({ state, retryAt }) => state === 'open' && retryAt === Infinity)).toBe(true);
    const whole = status.filter(({ lastError }) => lastError?.data.stderrTail !== undefined);
    expect(whole.map(({ tenant }) => tenant)).toEqual(Array.from({ length: 50 }, (_, index) => `t${1_950 + index}`));
    expect(status[0]?.lastError).toMatchObject({ code: 'SERVER_EXITED', message: 'it said t0', data: { exitCode: 1 } });
    expect(status[0]?.lastError?.cause).toBeUndefined();
    expect(JSON.stringify(status).length).toBeLessThan(50 * 61_000 + 2_000 * 400);
    expect(() => breakers.admit(instanceOf('t0'))).toThrow(/resetBreaker.*it said t0/);
    // Its next failure is whole again.
    breakers.reset('a', { tenant: 't0' });
    fail('t0');
    expect(breakers.statusOf('a').at(-1)).toMatchObject({ tenant: 't0', lastError: { data: { dropped: ['banner'] } } });
  });

  it('[BREAKER-4] that are closed are limited in number: those that failed last stay', () => {
    const { breakers, failAll, fail } = open({ maxRestarts: 5, window: Infinity });
    failAll(1_000);
    fail('t0');
    for (const tenant of ['n1', 'n2']) fail(tenant);
    const tenants = breakers.statusOf('a').map(({ tenant }) => tenant);
    expect(tenants).toHaveLength(1_000);
    expect(['t0', 'n1', 'n2', 't3', 't1', 't2'].map((tenant) => tenants.includes(tenant))).toEqual([
      ...[true, true, true, true],
      ...[false, false],
    ]);
    expect(breakers.statusOf('a').find(({ tenant }) => tenant === 't0')?.failures).toBe(2);
  });

  it('[BREAKER-4] that say nothing any more are dropped with the next failure, in the order of their times', () => {
    const { breakers, failAll, fail, clock, instanceOf } = open();
    const cost = (count: number) => {
      clock.advance(10_000_000);
      failAll(count);
      clock.advance(10_000_000);
      return workOf(() => fail('last'));
    };
    // Each is looked at once, when it is dropped.
    const [few, many] = [cost(10), cost(1_000)];
    expect(many.runs, many.busiest.join('\n')).toBeLessThan(few.runs * 200);
    expect(breakers.statusOf('a').map(({ tenant }) => tenant)).toEqual(['last']);
    // One that waits for its probe stays, and one that is young.
    clock.advance(policy.cooldown);
    const probe = instanceOf('last');
    breakers.admit(probe);
    clock.advance(1_000_000);
    fail('young');
    expect(breakers.statusOf('a').map(({ tenant, state }) => [tenant, state])).toEqual([
      ['last', 'half-open'],
      ['young', 'open'],
    ]);
    breakers.ready(probe);
    expect(breakers.statusOf('a').map(({ tenant }) => tenant)).toEqual(['young']);
  });

  it('[BREAKER-4] an open one that is dropped because there are too many is closed, and its callers are looked at', () => {
    for (const maxRestarts of [0, 5]) {
      const { breakers, failAll, closed, entries } = open({ maxRestarts, window: Infinity });
      const looks = vi.fn(() => []);
      entries.set('a', { classes: { values: looks } });
      failAll(1_000);
      looks.mockClear();
      expect(closed).toEqual([]);
      failAll(1_003);
      // Those that are closed already concern no caller: nothing is looked at.
      const dropped = maxRestarts === 0 ? ['t0', 't1', 't2'] : [];
      expect(closed).toEqual(dropped);
      // Once for each that has opened, and for each that was dropped.
      expect(looks).toHaveBeenCalledTimes(2 * dropped.length);
      expect(breakers.statusOf('a')).toHaveLength(1_000);
    }
  });

  it('[BREAKER-4] an open one that says nothing any more is closed with the next failure; so is one of a changed server', () => {
    const { breakers, failAll, fail, clock, closed } = open();
    failAll(2);
    clock.advance(10_000_000);
    fail('last');
    expect(closed.sort()).toEqual(['t0', 't1']);
    breakers.forgetServer('a');
    expect(closed.sort()).toEqual(['last', 't0', 't1']);
  });

  it('[BREAKER-4] one that has recovered stays in the order of the failures, and one that is half-open stays', () => {
    const { breakers, clock, failAll, fail, instanceOf } = open({ window: Infinity });
    failAll(1_000);
    clock.advance(policy.cooldown);
    const [recovered, halfOpen] = [instanceOf('t0'), instanceOf('t1')];
    for (const probe of [recovered, halfOpen]) breakers.admit(probe);
    breakers.ready(recovered);
    for (const tenant of ['n1', 'n2']) fail(tenant);
    const tenants = breakers.statusOf('a').map(({ tenant }) => tenant);
    expect(['t0', 't1', 't2', 't3', 'n1'].map((tenant) => tenants.includes(tenant))).toEqual([
      ...[false, true],
      ...[false, true, true],
    ]);
  });

  it('[BREAKER-4] of a tenant, or of a server, are dropped when that is released or changed', () => {
    const { breakers, failAll, instanceOf } = open(FOREVER);
    failAll(3);
    breakers.forgetTenant('t1');
    expect(breakers.statusOf('a').map(({ tenant }) => tenant)).toEqual(['t0', 't2']);
    expect(() => breakers.admit(instanceOf('t1'))).not.toThrow();
    breakers.forgetServer('a');
    expect(breakers.statusOf('a')).toEqual([]);
    expect(breakers.reset('a', 'all')).toBe(0);
  });
});
