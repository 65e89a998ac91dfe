import { describe, expect, it } from 'vitest';
import type { PoolOptions } from '../../src/config/options.js';
import { resolveMonitoringOptions } from '../../src/config/resolve-monitoring.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { resolveWatch } from '../../src/config/watch-options.js';
import type { PoolError } from '../../src/errors.js';

function problemsOf(run: () => unknown): readonly string[] | undefined {
  try {
    run();
  } catch (error) {
    return (error as PoolError).data.problems;
  }
  return [];
}

const ofPool = (options: object) => problemsOf(() => resolvePoolOptions(options as PoolOptions));
const ofServer = (own: object) => ofPool({ servers: { a: { command: 'node', ...own } } });
const ending = (end: string) => [expect.stringMatching(new RegExp(`${end}$`))];

describe('a number in another unit', () => {
  it.each([
    [{ interval: 5 }, 'got 5; if these are seconds, write 5_000'],
    [{ interval: 60 }, 'write 60_000'],
    [{ windows: { long: 30 } }, 'write 30_000'],
    [{ windows: { short: 10 } }, 'write 10_000'],
    [{ levels: { cooldown: 30 } }, 'write 30_000'],
    [{ growth: { within: 30 } }, 'write 30_000'],
    [{ leak: { window: 3_600 } }, 'write 3_600_000'],
    [{ warningPercent: 0.75 }, 'got 0.75; if this is a share of 1, write 75'],
    [{ criticalPercent: 0.9 }, 'write 90'],
    [{ hostMemoryPercent: 0.8 }, 'write 80'],
    [{ folders: [{ path: '/x', limitMB: 524_288_000 }] }, 'got 524288000; if these are bytes, write 500'],
  ])('[OPT-12] of monitoring is refused with what to write: %j', (monitoring, end) => {
    expect(ofPool({ monitoring })).toEqual(ending(end));
  });

  it.each([
    [{ memoryLimitMB: 536_870_912 }, 'got 536870912; if these are bytes, write 512'],
    [{ cpuLimitPercent: 80, cpuWindow: 60 }, 'got 60; if these are seconds, write 60_000'],
    [{ cpuLimitPercent: 0.8 }, 'write 80'],
  ])('[OPT-12] of a server is refused with what to write: %j', (own, end) => {
    expect(ofServer(own)).toEqual(ending(end));
    expect(ofPool({ defaults: own })).toEqual(ending(end));
  });

  it('[OPT-12] of a pool, an audit trail or a watch is refused with what to write', () => {
    expect(ofPool({ limits: { memoryLimitMB: 4_294_967_296 } })).toEqual(ending('write 4_096'));
    expect(ofPool({ audit: { path: '/x', maxMB: 10_485_760 } })).toEqual(ending('write 10'));
    const watch = { patterns: ['x'], memoryLimitMB: 8_589_934_592, interval: 300 };
    expect(problemsOf(() => resolveWatch(watch))).toEqual([
      expect.stringMatching(/write 8_192$/),
      expect.stringMatching(/write 300_000$/),
    ]);
  });

  it('[OPT-12] is not suspected where it may be meant', () => {
    const levels = { cooldown: 0 };
    const monitoring = {
      interval: 100,
      windows: { long: 100, short: 100 },
      levels,
      leak: { window: 4_000, warmup: 0 },
    };
    expect(ofPool({ monitoring })).toEqual([]);
    expect(ofServer({ memoryLimitMB: 10_000_000, cpuLimitPercent: 1, cpuWindow: 1_000 })).toEqual([]);
    expect(ofServer({ memoryLimitMB: Infinity, cpuLimitPercent: Infinity })).toEqual([]);
  });
});

describe('a string in place of a number', () => {
  it.each([
    ['5s', '; write 5_000'],
    ['1.5 min', '; write 90_000'],
    ['500', '; write 500'],
    ['1h', '; write 3_600_000'],
    ['5 parsecs', ''],
    ['swordfish', ''],
    ['4.5.6', ''],
    ['1'.repeat(1_000), ''],
  ])('[OPT-12] of milliseconds: %s', (interval, end) => {
    expect(ofPool({ monitoring: { interval } })).toEqual(ending(`got a string${end}`));
  });

  it.each([
    [{ memoryLimitMB: '512MB' }, '; write 512'],
    [{ memoryLimitMB: '1.5 GB' }, '; write 1_536'],
    [{ memoryLimitMB: 'infinity' }, '; write Infinity without quotes'],
    [{ cpuLimitPercent: '80%' }, '; write 80'],
    [{ maxTreeProcesses: '8' }, '; write 8'],
    [{ maxTreeProcesses: '8MB' }, ''],
  ])('[OPT-12] of a limit: %j', (own, end) => {
    expect(ofServer(own)).toEqual(ending(`got a string${end}`));
  });

  it('[OPT-12] of maxProcesses', () => {
    expect(ofPool({ limits: { maxProcesses: 'Auto' } })).toEqual(ending("got a string; write 'auto'"));
    expect(ofPool({ limits: { maxProcesses: '15' } })).toEqual(ending('got a string; write 15'));
  });
});

describe('an option of monitoring without effect', () => {
  const call = { critical: ['call-host'] };

  it.each([
    [
      { enabled: false, levels: { enforce: true } },
      ['levels.enforce must not be set where monitoring.enabled is false'],
    ],
    [{ enabled: false, onEmergency: () => {} }, ['onEmergency must not be set where monitoring.enabled is false']],
    [
      { enabled: false, levels: { actions: call }, onEmergency: () => {} },
      ['levels.actions must not be set where', 'onEmergency must not be set where'],
    ],
    [
      { levels: { actions: call } },
      ["levels.actions.critical must not have 'call-host' without monitoring.onEmergency, which it calls"],
    ],
    [{ levels: { actions: call }, onEmergency: () => {} }, []],
    [{ enabled: false, levels: { enforce: false } }, []],
  ])('[OPT-13] is refused: %j', (monitoring, problems) => {
    expect(ofPool({ monitoring })).toEqual(problems.map((text) => expect.stringContaining(`monitoring.${text}`)));
  });

  it('[OPT-13] is refused for a monitor without a pool', () => {
    expect(problemsOf(() => resolveMonitoringOptions({ enabled: false }))).toEqual([
      'enabled must be true for a monitor without a pool: it takes samples only after start()',
    ]);
    expect(problemsOf(() => resolveMonitoringOptions({ levels: { enforce: true } }))).toEqual([
      'levels.enforce must be false for a monitor without a pool: it ends nothing',
    ]);
    expect(problemsOf(() => resolveMonitoringOptions({ enabled: true, levels: { enforce: false } }))).toEqual([]);
  });

  it('[OPT-13] is refused for a server: a window without a limit, unless it is a default', () => {
    const problem = 'servers.a.cpuWindow must not be set without cpuLimitPercent: it has no effect alone';
    expect(ofServer({ cpuWindow: 5_000 })).toEqual([problem]);
    expect(ofPool({ defaults: { cpuWindow: 5_000 } })).toEqual([]);
    const servers = { a: { command: 'node', cpuWindow: 5_000 } };
    expect(ofPool({ defaults: { cpuLimitPercent: 50 }, servers })).toEqual([]);
  });
});
