import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { poolMemoryLimit } from '../../src/config/limit-options.js';
import type { PoolOptions } from '../../src/config/options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { PoolError } from '../../src/errors.js';
import { MCPServerPool } from '../../src/index.js';
import { autoMaxProcesses } from '../../src/monitor/host/auto-limits.js';
import { define } from '../helpers/definition.js';

function problemsOf(options: object, auto?: Parameters<typeof resolvePoolOptions>[1]): readonly string[] {
  try {
    resolvePoolOptions(options as PoolOptions, auto);
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    return (error as PoolError).data.problems ?? [];
  }
  return [];
}

const node = { command: 'node' };
const withServer = (own: object, more: object = {}) => ({ servers: { a: { ...node, ...own } }, ...more });

describe('limits of a server', () => {
  it('[OPT-8] have the documented defaults', () => {
    expect(define(node)).toMatchObject({
      memoryLimitMB: Infinity,
      cpuLimitPercent: Infinity,
      cpuWindow: 60_000,
      maxTreeProcesses: Infinity,
      expectedProcesses: undefined,
      priority: 'normal',
      restartOnMemoryLeak: false,
    });
    expect(resolvePoolOptions({}).limits).toMatchObject({ memoryLimitMB: undefined, cpuLimitPercent: Infinity });
  });

  it('[OPT-8] are taken for one server, for all, and in the shorthand', () => {
    const limits = { memoryLimitMB: 300, cpuLimitPercent: 150, cpuWindow: 5_000, maxTreeProcesses: 4 };
    const policy = { ...limits, expectedProcesses: 2, priority: 'expendable', restartOnMemoryLeak: true } as const;
    expect(define({ ...node, ...policy })).toMatchObject(policy);
    expect(resolvePoolOptions({ servers: { a: node }, defaults: policy }).servers.get('a')).toMatchObject(policy);
    expect(resolvePoolOptions({ ...node, ...policy }).servers.get('default')).toMatchObject(policy);
    const removed = { memoryLimitMB: Infinity, cpuLimitPercent: Infinity, maxTreeProcesses: Infinity };
    const { servers } = resolvePoolOptions({ servers: { a: { ...node, ...removed } }, defaults: limits });
    expect(servers.get('a')).toMatchObject(removed);
  });

  it.each([
    [{ memoryLimitMB: 0 }, 'a number of megabytes above 0, at most 10,000,000, or Infinity, got 0'],
    [
      { memoryLimitMB: '512' },
      'a number of megabytes above 0, at most 10,000,000, or Infinity, got a string; write 512',
    ],
    [
      { cpuLimitPercent: 0.5 },
      'a number of percent, 1 or more, or Infinity, got 0.5; if this is a share of 1, write 50',
    ],
    [{ cpuWindow: Infinity }, 'a finite number of milliseconds, 1,000 or more, got Infinity'],
    [{ maxTreeProcesses: 0 }, 'a whole number, 1 or more, or Infinity, got 0'],
    [{ expectedProcesses: Infinity }, 'a whole number, 1 or more, got Infinity'],
    [{ priority: 'high' }, "one of 'essential', 'normal', 'expendable', got 'high'"],
    [{ restartOnMemoryLeak: 1 }, 'true or false, got 1'],
  ])('[OPT-3] [OPT-8] are refused where they are wrong: %j', (own, must) => {
    const [name] = Object.keys(own);
    expect(problemsOf(withServer(own))).toEqual([`servers.a.${name} must be ${must}`]);
    expect(problemsOf({ defaults: own })).toEqual([`defaults.${name} must be ${must}`]);
  });

  it('[OPT-8] are refused above those of the pool, in a server and in defaults', () => {
    const limits = { memoryLimitMB: 1_000, cpuLimitPercent: 200 };
    const own = { memoryLimitMB: 1_001, cpuLimitPercent: 300 };
    expect(problemsOf(withServer(own, { limits }))).toEqual([
      'servers.a.memoryLimitMB must not be above limits.memoryLimitMB (1000), got 1001',
      'servers.a.cpuLimitPercent must not be above limits.cpuLimitPercent (200), got 300',
    ]);
    expect(problemsOf({ servers: { a: node, b: node }, defaults: own, limits })).toEqual([
      'defaults.memoryLimitMB must not be above limits.memoryLimitMB (1000), got 1001',
      'defaults.cpuLimitPercent must not be above limits.cpuLimitPercent (200), got 300',
    ]);
    // No limit of its own: that of the pool holds. And a default of the pool gives way.
    expect(problemsOf(withServer({ memoryLimitMB: Infinity, cpuLimitPercent: Infinity }, { limits }))).toEqual([]);
    expect(problemsOf(withServer({ memoryLimitMB: 10_000 }))).toEqual([]);
  });

  it.each([
    [
      { memoryLimitMB: 512, cgroupLimits: { memoryMB: 256 } },
      {},
      'cgroupLimits.memoryMB must not be below memoryLimitMB (512), got 256',
    ],
    [
      { memoryLimitMB: 512 },
      { cgroupLimits: { memoryMB: 256 } },
      'memoryLimitMB must not be above defaults.cgroupLimits.memoryMB (256), got 512',
    ],
    [
      { cgroupLimits: { memoryMB: 256 } },
      { memoryLimitMB: 512 },
      'cgroupLimits.memoryMB must not be below defaults.memoryLimitMB (512), got 256',
    ],
  ])(
    '[OPT-8] are refused above the limit of the kernel, by the names that were written: %j, defaults %j',
    (own, defaults, problem) => {
      expect(problemsOf(withServer(own, { defaults }))).toEqual([
        `servers.a.${problem}: the kernel would kill a process of the server before the pool replaces it`,
      ]);
    },
  );

  it('[OPT-8] that contradict each other in defaults are told once', () => {
    const defaults = { memoryLimitMB: 9, cgroupLimits: { memoryMB: 8 } };
    const servers = { a: { ...node, cgroupLimits: { processes: 5 } } };
    expect(problemsOf({ defaults, servers })).toEqual([expect.stringMatching(/^defaults\.cgroupLimits\.memoryMB/)]);
  });

  it('[OPT-8] leave the limit of the kernel as it is, and the other way round', () => {
    const of = (own: object) => resolvePoolOptions(withServer(own)).servers.get('a');
    expect(of({ memoryLimitMB: 512 })?.cgroupLimits.memoryMB).toBeUndefined();
    expect(of({ cgroupLimits: { memoryMB: 512 } })?.memoryLimitMB).toBe(Infinity);
    const equal = { memoryLimitMB: 512, cgroupLimits: { memoryMB: 512 } };
    expect(of(equal)).toMatchObject(equal);
    expect(problemsOf({ defaults: { memoryLimitMB: 9, cgroupLimits: { memoryMB: 8 } }, servers: { a: node } })).toEqual(
      [expect.stringMatching(/^defaults\.cgroupLimits\.memoryMB must not be below memoryLimitMB \(9\), got 8/)],
    );
  });

  it('[OPT-8] allow at least what is expected', () => {
    expect(problemsOf(withServer({ maxTreeProcesses: 2, expectedProcesses: 3 }))).toEqual([
      'servers.a.expectedProcesses must not be above maxTreeProcesses (2), got 3',
    ]);
    expect(problemsOf(withServer({ expectedProcesses: 10 }, { defaults: { maxTreeProcesses: 5 } }))).toEqual([
      'servers.a.expectedProcesses must not be above defaults.maxTreeProcesses (5), got 10',
    ]);
    expect(problemsOf({ defaults: { expectedProcesses: 10, maxTreeProcesses: 5 } })).toEqual([
      'defaults.expectedProcesses must not be above maxTreeProcesses (5), got 10',
    ]);
    const { servers } = resolvePoolOptions(withServer({ maxTreeProcesses: 2 }, { defaults: { expectedProcesses: 3 } }));
    expect(servers.get('a')?.expectedProcesses).toBe(2);
  });
});

describe('a limit of memory', () => {
  it('[OPT-10] of all servers is known from its default, which is never below that of one', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(10_000), fc.option(fc.integer({ min: 1, max: 10_000 })), (usual, one, set) => {
        const { limit, isSet } = poolMemoryLimit({ memoryLimitMB: set ?? undefined }, usual, one);
        expect(isSet).toBe(set !== null);
        expect(limit).toBe(set ?? Math.max(usual, one));
      }),
    );
    expect(poolMemoryLimit({ memoryLimitMB: Infinity }, 100)).toEqual({ limit: Infinity, isSet: true });
  });
});

describe("limits.maxProcesses: 'auto'", () => {
  const auto = () => ({ value: 4, from: 'pids' }) as const;
  const ask = (options: object) => resolvePoolOptions({ limits: { maxProcesses: 'auto' }, ...options }, auto);

  it('[OPT-9] is what the machine allows', () => {
    expect(ask({}).limits).toMatchObject({ maxProcesses: 4, maxProcessesFrom: 'pids' });
    expect(resolvePoolOptions({}, auto).limits).toMatchObject({ maxProcesses: 15, maxProcessesFrom: 'option' });
    expect(resolvePoolOptions({ limits: { maxProcesses: Infinity } }, auto).limits.maxProcesses).toBe(Infinity);
    expect(problemsOf({ limits: { maxProcesses: 'many' } })).toEqual([
      "limits.maxProcesses must be a whole number, 1 or more, Infinity or 'auto', got a string",
    ]);
  });

  it('[OPT-9] refuses no option that would suit a larger machine, apart from a minimum', () => {
    const own = { ...node, maxInstances: 10 };
    expect(ask({ servers: { a: own } }).servers.get('a')?.maxInstances).toBe(4);
    expect(ask({ limits: { maxProcesses: 'auto', maxProcessesPerServer: 10 } }).limits.maxProcesses).toBe(4);
    const minimum = { ...own, minIdle: 3 };
    expect(problemsOf({ limits: { maxProcesses: 'auto' }, servers: { a: minimum, b: minimum } }, auto)).toEqual([
      'the minIdle of all servers (6) must not be above limits.maxProcesses (4)',
    ]);
  });

  it('[OPT-9] is shown by status(), with what decided it', async () => {
    const pool = new MCPServerPool({ limits: { maxProcesses: 'auto' } });
    const { maxProcesses, maxProcessesFrom } = pool.status();
    expect(maxProcesses).toBeGreaterThanOrEqual(1);
    expect(Number.isInteger(maxProcesses)).toBe(true);
    expect(['memory', 'pids', 'cpus', 'default']).toContain(maxProcessesFrom);
    await pool.shutdown();
    const plain = new MCPServerPool();
    expect(plain.status()).toMatchObject({ maxProcesses: 15, maxProcessesFrom: 'option' });
    await plain.shutdown();
    const known = resolvePoolOptions({ limits: { maxProcesses: 'auto' } }, () =>
      autoMaxProcesses({ at: 0, cpus: { allowed: 2, from: 'quota' } }),
    );
    expect(known.limits.maxProcessesFrom).toBe('cpus');
  });
});

describe('without monitoring', () => {
  const off = { monitoring: { enabled: false } };

  it.each([
    [{ limits: { memoryLimitMB: 5 } }, 'limits.memoryLimitMB'],
    [{ limits: { cpuLimitPercent: 5 } }, 'limits.cpuLimitPercent'],
    [withServer({ memoryLimitMB: 5 }), 'servers.a.memoryLimitMB'],
    [withServer({ cpuLimitPercent: 5 }), 'servers.a.cpuLimitPercent'],
    [withServer({ maxTreeProcesses: 5 }), 'servers.a.maxTreeProcesses'],
    [withServer({ restartOnMemoryLeak: true }), 'servers.a.restartOnMemoryLeak'],
    [{ defaults: { memoryLimitMB: 5 } }, 'defaults.memoryLimitMB'],
    [{ ...node, memoryLimitMB: 5 }, 'memoryLimitMB'],
  ])('[OPT-11] a limit is refused: %j', (options, name) => {
    expect(problemsOf({ ...options, ...off })).toEqual([
      `${name} must not be set where monitoring.enabled is false, as in a global pool that was made without options: nothing would be measured`,
    ]);
    expect(problemsOf(options)).toEqual([]);
  });

  it('[OPT-11] what says that there is no limit, and what has another effect, is not refused', () => {
    const none = { memoryLimitMB: Infinity, cpuLimitPercent: Infinity };
    const own = { ...none, maxTreeProcesses: Infinity, restartOnMemoryLeak: false, priority: 'essential' };
    expect(problemsOf({ ...withServer(own, off), limits: none })).toEqual([]);
  });
});
