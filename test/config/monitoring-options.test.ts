import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MonitoringOptions } from '../../src/config/monitoring-options.js';
import type { PoolOptions } from '../../src/config/options.js';
import { resolveMonitoringOptions, rising } from '../../src/config/resolve-monitoring.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { PoolError } from '../../src/errors.js';
import { MCPServerPool } from '../../src/index.js';
import { LeakDetector } from '../../src/monitor/leaks/leak-detector.js';
import { endGlobalPoolAfterEach } from '../helpers/stdio.js';

endGlobalPoolAfterEach();

const resolve = (monitoring: unknown) => resolvePoolOptions({ monitoring: monitoring as MonitoringOptions }).monitoring;

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    return (error as PoolError).data.problems ?? [];
  }
  return [];
}

describe('monitoring', () => {
  it('[OPT-7] has the documented defaults', () => {
    expect(resolve(undefined)).toEqual({
      enabled: true,
      interval: 5_000,
      windows: { long: 30_000, short: 10_000 },
      levels: {
        enforce: false,
        warning: 15,
        critical: 30,
        nuclear: 50,
        emergency: 100,
        cooldown: 30_000,
        actions: {
          warning: [],
          critical: ['end-idle'],
          nuclear: ['end-idle'],
          emergency: ['end-idle', 'call-host'],
        },
      },
      growth: { processes: 30, within: 30_000 },
      leak: { window: 3_600_000, warmup: 1_800_000, minSlopeMBPerHour: 5 },
      warningPercent: 75,
      criticalPercent: 90,
      hostMemoryPercent: 80,
      folders: [],
      dryRun: false,
      onEmergency: undefined,
    });
    expect(resolvePoolOptions({}).audit).toEqual({ path: undefined, maxMB: 10, keep: 5 });
  });

  it('[OPT-7] takes what the host sets, functions and lists of actions too', () => {
    const onEmergency = () => {};
    const onExceeded = () => {};
    const folders = [
      { path: '/var/log/servers', limitMB: 100 },
      { path: '/var/cache/servers', limitMB: 10, onExceeded },
    ];
    const given = { levels: { enforce: true, actions: { critical: ['end-all'] as const } }, folders, onEmergency };
    expect(resolve(given)).toMatchObject({
      levels: {
        enforce: true,
        warning: 15,
        actions: { critical: ['end-all'], nuclear: ['refuse-starts', 'end-idle', 'end-unexpected'] },
      },
      folders: [
        { path: '/var/log/servers', limitMB: 100, onExceeded: 'report' },
        { path: '/var/cache/servers', limitMB: 10, onExceeded },
      ],
      onEmergency,
    });
    const audit = { path: '/var/log/audit.jsonl', keep: 0 };
    expect(resolvePoolOptions({ audit }).audit).toEqual({ ...audit, maxMB: 10 });
  });

  it('[OPT-7] is the same without a pool', () => {
    expect(resolveMonitoringOptions({ interval: 100 })).toEqual(resolve({ interval: 100 }));
    expect(problemsOf(() => resolveMonitoringOptions({ windows: { long: 500, short: 600 }, interval: 0 }))).toEqual([
      'interval must be a finite number of milliseconds, 100 or more, got 0',
      'windows.long must not be below windows.short (600), got 500',
    ]);
  });

  it('[OPT-1] [OPT-7] is refused where it is wrong: each problem once, with its place', () => {
    const wrong = {
      enabled: 1,
      interval: -1,
      intervall: 5,
      windows: { long: 1_000, short: 2_000 },
      levels: { warning: 40, critical: 30, emergency: 0, cooldwn: 1, actions: { nuclear: ['end-idle', 'end'] } },
      growth: { processes: 0 },
      leak: 5,
      warningPercent: 0,
      criticalPercent: 101,
      folders: [{ path: 'logs', limitMB: 1 }, { path: '/logs' }, { path: '/logs', limitMB: 1, onExceeded: 'delete' }],
      onEmergency: 'restart',
    };
    const expected = [
      /^monitoring\.intervall is not a known option; did you mean 'interval'\?$/,
      /^monitoring\.enabled must be true or false, got 1$/,
      /^monitoring\.interval must be a finite number of milliseconds, 100 or more, got -1$/,
      /^monitoring\.warningPercent must be a number of percent from 1 to 100, got 0$/,
      /^monitoring\.criticalPercent must be .*, got 101$/,
      /^monitoring\.onEmergency must be a function, got a string$/,
      /^monitoring\.levels\.cooldwn is not a known option; did you mean 'cooldown'\?$/,
      /^monitoring\.levels\.emergency must be a whole number, 1 or more, got 0$/,
      /^monitoring\.windows\.long must not be below monitoring\.windows\.short \(2000\), got 1000$/,
      /^monitoring\.levels\.critical must not be below monitoring\.levels\.warning \(40\), got 30$/,
      /^monitoring\.levels\.actions\.nuclear must be an array, each item one of 'refuse-starts', .*, got 'end'$/,
      /^monitoring\.growth\.processes must be a whole number, 1 or more, got 0$/,
      /^monitoring\.leak must be an object, got 5$/,
      /^monitoring\.folders\[0\]\.path must be an absolute path, got a relative one$/,
      /^monitoring\.folders\[1\]\.limitMB must be a finite number of megabytes above 0/,
      /^monitoring\.folders\[2\]\.onExceeded must be one of 'report', 'prune-oldest', got 'delete'; or a function$/,
    ];
    const problems = problemsOf(() => resolve(wrong));
    for (const pattern of expected) {
      expect(
        problems.filter((problem) => pattern.test(problem)),
        String(pattern),
      ).toHaveLength(1);
    }
    expect(problems).toHaveLength(expected.length);
  });

  it.each([
    [{ folders: {} }, 'monitoring.folders must be an array of folders ({ path, limitMB }), got an object'],
    [{ folders: ['/logs'] }, 'monitoring.folders must be an array of folders ({ path, limitMB }); item 0 is no object'],
    [
      { levels: { actions: { warning: 'end-idle' } } },
      'monitoring.levels.actions.warning must be an array of actions, got a string',
    ],
    [{ windows: null }, 'monitoring.windows must be an object, got null'],
  ])('[OPT-7] is refused in another shape: %j', (monitoring, problem) => {
    expect(problemsOf(() => resolve(monitoring))).toEqual([problem]);
  });

  it('[OPT-7] is refused as audit without a path: nothing would be written', () => {
    expect(problemsOf(() => resolvePoolOptions({ audit: { keep: 3 } }))).toEqual([
      'audit.path must be set, else nothing is written',
    ]);
    expect(problemsOf(() => resolvePoolOptions({ audit: { path: 'audit.jsonl', maxMB: 0 } }))).toHaveLength(2);
    expect(problemsOf(() => resolvePoolOptions({ audit: {} }))).toEqual([]);
  });

  it.each([
    [{ levels: { critical: 5 } }, { levels: { warning: 5, critical: 5, nuclear: 50 } }],
    [{ levels: { warning: 70 } }, { levels: { warning: 70, critical: 70, nuclear: 70, emergency: 100 } }],
    [{ warningPercent: 95 }, { warningPercent: 95, criticalPercent: 95 }],
    [{ interval: 60_000 }, { interval: 60_000, windows: { short: 120_000, long: 360_000 } }],
    [{ windows: { short: 1_000 } }, { interval: 1_000, windows: { short: 1_000, long: 30_000 } }],
    [{ windows: { long: 2_000 } }, { interval: 2_000, windows: { short: 2_000, long: 2_000 } }],
    [{ interval: 100 }, { interval: 100, windows: { short: 10_000, long: 30_000 } }],
    [{ interval: 1_200_000 }, { leak: { window: 14_400_000, warmup: 1_800_000 } }],
    [{ interval: 300_000 }, { leak: { window: 3_600_000 } }],
    [{ leak: { window: 30_000 } }, { interval: 5_000, leak: { window: 30_000 } }],
  ])('[OPT-5] [OPT-7] has defaults that give way to what the host sets: %j', (given, resolved) => {
    expect(resolve(given)).toMatchObject(resolved);
  });

  it('[OPT-7] is refused with a window for leaks in which too few samples would be taken', () => {
    const problem =
      'monitoring.leak.window must not be below 6 times monitoring.interval (30000), else no leak is found in time, got 29999';
    expect(problemsOf(() => resolve({ leak: { window: 29_999 } }))).toEqual([problem]);
    expect(problemsOf(() => resolve({ interval: 1_200_000, leak: { window: 3_600_000 } }))).toHaveLength(1);
    expect(problemsOf(() => resolveMonitoringOptions({ leak: { window: 1_000 } }))).toHaveLength(1);
    expect(problemsOf(() => resolve({ interval: 100, leak: { window: 4_000 } }))).toEqual([]);
    // One that is wrong is told once.
    expect(problemsOf(() => resolve({ interval: 1_200_000, leak: { window: -1 } }))).toHaveLength(1);
  });

  it('[OPT-7] [LEAK-1] a clear leak is found with the longest interval that its window allows', () => {
    for (const given of [{ interval: 600_000, leak: { window: 3_600_000 } }, { interval: 1_200_000 }]) {
      const { interval, leak } = resolveMonitoringOptions(given);
      const watch = new LeakDetector(leak).watch('a');
      // Each sample takes some time, too.
      const every = interval * 1.01;
      let at = 0;
      const isConfirmed = () => watch.finding.verdict === 'confirmed';
      for (; at < leak.warmup + 4 * leak.window && !isConfirmed(); at += every) {
        watch.add({ at, memoryMB: 100 + (60 * at) / 3_600_000 });
      }
      expect(isConfirmed()).toBe(true);
    }
  });

  it('[OPT-7] keeps every number that the host sets, in any order of the others', () => {
    const names = ['a', 'b', 'c', 'd'] as const;
    const number = fc.option(fc.nat(20), { nil: undefined });
    fc.assert(
      fc.property(fc.record({ a: number, b: number, c: number, d: number }), (given) => {
        const problems = { wrong: [], unsupported: [] };
        const values = { a: given.a ?? 5, b: given.b ?? 10, c: given.c ?? 10, d: given.d ?? 15 };
        const result = rising(values, given, names, '', problems);
        const set = names.map((name) => given[name]).filter((value) => value !== undefined);
        const isRising = set.every((value, index) => index === 0 || value >= (set[index - 1] ?? 0));
        expect(problems.wrong.length === 0).toBe(isRising);
        if (!isRising) return;
        const order = names.map((name) => result[name]);
        expect(order).toEqual([...order].sort((one, other) => one - other));
        for (const name of names) if (given[name] !== undefined) expect(result[name]).toBe(given[name]);
      }),
    );
  });
});

describe('the global pool', () => {
  it('[GLOBAL-4] is not monitored when it was made without options, so it refuses limits that nothing would watch', () => {
    const pool = MCPServerPool.global();
    expect(problemsOf(() => pool.addServer('a', { command: 'cat', memoryLimitMB: 100 }))).toEqual([
      expect.stringMatching(/^a\.memoryLimitMB must not be set where monitoring\.enabled is false/),
    ]);
    expect(problemsOf(() => pool.addServer('b', { command: 'cat', priority: 'essential' }))).toEqual([]);
  });

  it.each([{}, { limits: {} }] as PoolOptions[])('[GLOBAL-4] is monitored when it was made with %j', (options) => {
    const pool = MCPServerPool.global(options);
    pool.addServer('a', { command: 'cat', memoryLimitMB: 100_000 });
    expect(pool.getDefinition('a')).toMatchObject({ memoryLimitMB: 100_000 });
  });
});
