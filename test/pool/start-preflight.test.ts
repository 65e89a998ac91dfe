import { tmpdir } from 'node:os';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Headroom, MCPServerPool, type PooledServer, type PoolOptions } from '../../src/index.js';
import { codeOf, setUp as setUpPool, shared, UNCHECKED } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

const exclusive = { command: 'fake', sharing: 'exclusive' } as const;
const LITTLE = { freeMemoryMB: 50 };
const ENOUGH = { freeMemoryMB: 100 };
const UNMET = [{ requirement: 'freeMemoryMB', required: 100, measured: 50 }];

/** A pool whose starts require 100 MB of a host whose figures the test sets. */
function setUp(options: PoolOptions, onUnmet: 'wait' | 'fail' = 'wait', first: Headroom = LITTLE) {
  const host = {
    headroom: first,
    looks: 0,
    /** Whether looks take until the test says so. */
    hangs: false,
    answer: () => {},
    async read() {
      host.looks += 1;
      if (host.hangs) await new Promise<void>((resolve) => Object.assign(host, { answer: resolve }));
      return host.headroom;
    },
  };
  const monitoring = { enabled: false };
  const limits = { ...options.limits, requires: { freeMemoryMB: 100 }, onUnmet };
  return { host, ...setUpPool({ monitoring, ...options, limits }, {}, host) };
}

describe('a pool whose starts require something of the host', () => {
  it('[REQ-6] starts at once where there is enough, with one look for starts that come together', async () => {
    const { pool, host, launcher, emitted } = setUp({ servers: { a: exclusive, b: exclusive } }, 'wait', ENOUGH);
    await Promise.all([pool.getServer('a'), pool.getServer('b'), pool.getServer('b', { owner: 'x' })]);
    expect([launcher.living.length, host.looks]).toEqual([3, 1]);
    expect(emitted.filter(({ event }) => event === 'limit:reached')).toEqual([]);
  });

  it('[REQ-6] a caller that needs a start waits, is told the limit, and is served when there is enough', async () => {
    const { pool, host, launcher, clock, emitted } = setUp({ servers: { a: exclusive, b: exclusive } });
    const waiting = Promise.all([pool.getServer('a', { owner: 'x' }), pool.getServer('b')]);
    await flush();
    expect([launcher.living.length, host.looks]).toEqual([0, 1]);
    const reached = emitted.filter(({ event }) => event === 'limit:reached').map(({ payload }) => payload);
    const probe = () => pool.health.verdict({ probe: 'readiness' }).checks.find(({ name }) => name === 'pool');
    expect(probe()).toMatchObject({ status: 'degraded', reason: expect.stringContaining('limits.requires') });
    expect(reached).toEqual(['a', 'b'].map((name) => ({ name, limit: 'requires', value: 100 })));
    await clock.advanceAndFlush(250);
    await clock.advanceAndFlush(500);
    expect([launcher.living.length, host.looks, await outcome(waiting)]).toEqual([0, 3, 'pending']);
    host.headroom = ENOUGH;
    await clock.advanceAndFlush(1_000);
    await waiting;
    expect([launcher.living.length, host.looks, probe()?.status]).toEqual([2, 4, 'ok']);
    expect(emitted.filter(({ event }) => event === 'limit:reached')).toHaveLength(2);
  });

  it('[REQ-6] the deadline of a caller counts, and its error has each number', async () => {
    const { pool, clock } = setUp({ servers: { a: exclusive } });
    const error = rejection(pool.getServer('a', { timeout: 10_000 }));
    await clock.advanceAndFlush(10_000);
    expect(await error).toMatchObject({
      code: 'ACQUIRE_TIMEOUT',
      data: { name: 'a', after: 10_000, phase: 'queue', unmet: UNMET },
      message: expect.stringMatching(
        /limits\.requires.*50 MB of memory are free, 100 MB are required \(freeMemoryMB\)/,
      ),
    });
  });

  it('[REQ-6] the error says so where the host does not answer', async () => {
    const { pool, host, clock, launcher } = setUp({ servers: { a: exclusive } });
    host.hangs = true;
    const error = rejection(pool.getServer('a', { timeout: 1_000 }));
    await clock.advanceAndFlush(1_000);
    expect(((await error) as Error).message).toContain('this host was still being looked at (limits.requires)');
    host.answer();
    await flush();
    expect([launcher.living.length, host.looks]).toEqual([0, 1]);
  });

  it('[REQ-6] what runs is leased as before, a crashed server is restarted, and a start that waits may be given up', async () => {
    const { pool, host, launcher, clock } = setUp({ servers: { a: exclusive, s: shared } }, 'wait', ENOUGH);
    (await pool.getServer('a')).release();
    await pool.getServer('s');
    host.headroom = LITTLE;
    clock.advance(1_000);
    await pool.getServer('a');
    await pool.getServer('s');
    launcher.living[1]?.exit({ exitCode: 1 });
    await clock.advanceAndFlush(1_000);
    expect(launcher.living).toHaveLength(2);
    expect(host.looks).toBe(1);
    const abort = new AbortController();
    const given = codeOf(pool.getServer('a', { owner: 'x', signal: abort.signal }));
    await flush();
    abort.abort();
    expect([await given, launcher.living.length]).toEqual(['ACQUIRE_ABORTED', 2]);
  });

  it('[REQ-6] no idle tree is ended for a start that may not be made, and a release serves the caller that waits', async () => {
    const { pool, host, launcher, clock, reasons } = setUp(
      { servers: { a: exclusive, b: exclusive }, limits: { maxProcesses: 2 } },
      'wait',
      ENOUGH,
    );
    (await pool.getServer('a', { owner: 'x' })).release();
    const held = await pool.getServer('a', { owner: 'y' });
    host.headroom = LITTLE;
    clock.advance(1_000);
    const other = pool.getServer('b');
    const same = pool.getServer('a', { owner: 'y' });
    await flush();
    held.release();
    expect((await same).instanceId).toBe(held.instanceId);
    expect([reasons(), launcher.living.length, await outcome(other)]).toEqual([[], 2, 'pending']);
    host.headroom = ENOUGH;
    await clock.advanceAndFlush(5_000);
    await other;
    expect(reasons()).toEqual(['evicted']);
  });

  it('[REQ-6] minIdle and warm() start nothing before there is enough', async () => {
    const { pool, host, launcher, clock } = setUp({ servers: { a: { ...exclusive, minIdle: 1 }, b: exclusive } });
    await flush();
    expect([await pool.warm('b'), launcher.living.length]).toEqual([0, 0]);
    host.headroom = ENOUGH;
    await clock.advanceAndFlush(5_000);
    expect(launcher.living).toHaveLength(1);
    expect([await pool.warm('b'), launcher.living.length]).toEqual([1, 2]);
  });

  it('[REQ-6] starts that wait for their turn wait for the host again', async () => {
    const { pool, host, launcher, clock } = setUp(
      { servers: { a: exclusive, b: exclusive }, limits: { concurrentStarts: 1 } },
      'wait',
      ENOUGH,
    );
    launcher.auto = { ...launcher.auto, initialize: false };
    const first = pool.getServer('a');
    const second = pool.getServer('b');
    await flush();
    expect(launcher.living).toHaveLength(1);
    host.headroom = LITTLE;
    await clock.advanceAndFlush(4_000);
    expect([launcher.living.length, await outcome(second)]).toEqual([1, 'pending']);
    host.headroom = ENOUGH;
    await clock.advanceAndFlush(5_000);
    expect(launcher.living).toHaveLength(2);
    first.catch(() => {});
    second.catch(() => {});
  });

  it('[REQ-6] whatever comes when: no start after a look that found too little, and each caller is served in the end', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('get' as const), name: fc.constantFrom('a', 'b', 's') }),
      fc.record({ do: fc.constant('release' as const), which: fc.nat(9) }),
      fc.record({ do: fc.constant('set' as const), free: fc.constantFrom(0, 99, 100, 200) }),
      fc.record({ do: fc.constant('wait' as const), time: fc.constantFrom(0, 1, 100, 250, 1_000, 7_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const servers = { a: { ...exclusive, maxInstances: 2 }, b: exclusive, s: shared };
        const { pool, host, launcher, clock } = setUp({ servers, limits: { maxProcesses: 3 }, acquireTimeout: 1e9 });
        let seen = 0;
        const read = host.read;
        host.read = async () => {
          const headroom = await read();
          seen = headroom.freeMemoryMB ?? 0;
          return headroom;
        };
        const started: number[] = [];
        pool.on('server:starting', () => void started.push(seen));
        const [held, waiting]: [PooledServer[], Set<Promise<unknown>>] = [[], new Set()];
        for (const each of steps) {
          if (each.do === 'get') {
            const got: Promise<unknown> = pool.getServer(each.name).then((server) => {
              held.push(server);
              waiting.delete(got);
            });
            waiting.add(got);
          } else if (each.do === 'release') held.splice(each.which, 1)[0]?.release();
          else if (each.do === 'set') host.headroom = { freeMemoryMB: each.free };
          else await clock.advanceAndFlush(each.time);
        }
        host.headroom = ENOUGH;
        for (let round = 0; waiting.size > 0 && round < 100; round++) {
          await clock.advanceAndFlush(5_000);
          for (const server of held.splice(0)) server.release();
        }
        expect([waiting.size, started.filter((free) => free < 100)]).toEqual([0, []]);
        await pool.shutdown({ mode: 'emergency' });
        expect([clock.pending, launcher.living.length]).toEqual([0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  it('[REQ-7] with fail a caller that needs a start is rejected with each number, and no other', async () => {
    const { pool, host, clock, launcher } = setUp({ servers: { a: exclusive, b: exclusive } }, 'fail', ENOUGH);
    await pool.getServer('a', { owner: 'x' });
    clock.advance(1_000);
    host.headroom = LITTLE;
    expect(await rejection(pool.getServer('b'))).toMatchObject({
      code: 'REQUIREMENTS_UNMET',
      data: { name: 'b', unmet: UNMET },
      message: expect.stringMatching(/^server 'b' was not started, .*50 MB of memory are free, 100 MB are required/),
    });
    expect(await codeOf(pool.warm('b'))).toBe('REQUIREMENTS_UNMET');
    expect([launcher.living.length, host.looks]).toEqual([1, 2]);
    // What is missing now, not what was.
    host.headroom = ENOUGH;
    clock.advance(250);
    await pool.getServer('b');
    expect([launcher.living.length, host.looks]).toEqual([2, 3]);
  });

  it('[REQ-7] one that waits for a release, and needs no start, waits on; warm() needs none where enough are idle', async () => {
    const { pool, host, clock } = setUp(
      { servers: { a: { ...exclusive, maxInstances: 1 }, b: exclusive } },
      'fail',
      ENOUGH,
    );
    const held = await pool.getServer('a');
    host.headroom = LITTLE;
    clock.advance(1_000);
    expect(await codeOf(pool.getServer('b'))).toBe('REQUIREMENTS_UNMET');
    const waiting = pool.getServer('a');
    await flush();
    held.release();
    const next = await waiting;
    expect(next.instanceId).toBe(held.instanceId);
    next.release();
    clock.advance(1_000);
    expect(await pool.warm('a')).toBe(1);
    expect(host.looks).toBe(2);
  });

  it('[REQ-8] nothing is looked at, and no timer set, unless a start waits', async () => {
    const { pool, host, clock } = setUp({ servers: { a: { ...exclusive, idleTimeout: Infinity } } });
    await flush();
    expect([host.looks, clock.pending]).toEqual([0, 0]);
    const abort = new AbortController();
    const given = codeOf(pool.getServer('a', { timeout: 1e9, signal: abort.signal }));
    await clock.advanceAndFlush(60_000);
    const { looks } = host;
    // 250, 500, 1,000, 2,000, 4,000 ms, then every 5 s.
    expect(looks).toBe(16);
    abort.abort();
    expect(await given).toBe('ACQUIRE_ABORTED');
    await clock.advanceAndFlush(60_000);
    expect(host.looks).toBe(looks);
    await clock.advanceAndFlush(1e9);
    expect([host.looks, clock.pending]).toEqual([looks, 0]);
  });

  it('[REQ-8] a caller that comes later is not kept until the next look', async () => {
    const { pool, host, clock } = setUp({ servers: { a: exclusive } });
    const first = pool.getServer('a', { owner: 'x' });
    await clock.advanceAndFlush(20_000);
    host.headroom = ENOUGH;
    clock.jump(300);
    await Promise.all([first, pool.getServer('a', { owner: 'y' })]);
  });

  it('[REQ-8] a reader that throws is one that shows nothing', async () => {
    const { pool, host, launcher, clock } = setUp({ servers: { a: exclusive } });
    const { read } = host;
    host.read = () => {
      throw new Error('no');
    };
    const waiting = pool.getServer('a');
    await clock.advanceAndFlush(1_000);
    expect([launcher.living.length, await outcome(waiting)]).toEqual([0, 'pending']);
    host.read = read;
    host.headroom = ENOUGH;
    await clock.advanceAndFlush(5_000);
    await waiting;
  });

  it('[REQ-3] reads this host', async () => {
    const definition = { command: process.execPath, args: ['-e', ''], health: UNCHECKED };
    const requires = { freeMemoryMB: 9_000_000, freeDiskMB: { [tmpdir()]: 1 } };
    await using pool = new MCPServerPool({ servers: { a: definition }, limits: { requires, onUnmet: 'fail' } });
    expect(await rejection(pool.getServer('a'))).toMatchObject({
      code: 'REQUIREMENTS_UNMET',
      data: { name: 'a', unmet: [{ requirement: 'freeMemoryMB', required: 9_000_000, measured: expect.any(Number) }] },
    });
  });

  it('[REQ-4] refuses what is wrong, all problems in one error', () => {
    const requires = { freeMemoryMB: '4 GB', freeDiskMB: { tmp: -1 } } as never;
    const limits = { maxProcesses: -1, onUnmet: 'never' as never, requires };
    expect(() => new MCPServerPool({ servers: {}, limits })).toThrow(
      /^5 problems in.*maxProcesses.*onUnmet must be.*limits\.requires\.freeMemoryMB.*limits\.requires\.freeDiskMB\["tmp"\] must be named by.*limits\.requires\.freeDiskMB\["tmp"\] must be/s,
    );
  });
});
