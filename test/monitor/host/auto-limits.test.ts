import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { autoMaxProcesses, defaultMemoryLimitMB } from '../../../src/monitor/host/auto-limits.js';
import type { HostSample } from '../../../src/process/host/host-sample.js';

function host({ available, pids, cpus }: { available?: number; pids?: number; cpus?: number }): HostSample {
  return {
    at: 0,
    memory: available === undefined ? undefined : { totalMB: 2 * available, availableMB: available, from: 'machine' },
    pids: pids === undefined ? undefined : { used: 100, allowed: 100 + pids, from: 'cgroup' },
    cpus: cpus === undefined ? undefined : { allowed: cpus, from: 'affinity' },
  };
}

const some = fc.record(
  {
    available: fc.double({ min: 0, max: 1e7, noNaN: true }),
    pids: fc.integer({ min: -200, max: 1e7 }),
    cpus: fc.double({ min: 0.01, max: 1_024, noNaN: true }),
  },
  { requiredKeys: [] },
);

describe("limits.maxProcesses: 'auto'", () => {
  it('[MACHINE-8] is what the scarcest of memory, pids and CPUs allows, and says which', () => {
    // A laptop, a small container, a container with few pids, a small virtual machine.
    expect(autoMaxProcesses(host({ available: 12_288, pids: 30_000, cpus: 8 }))).toEqual({
      value: 72,
      from: 'memory',
    });
    expect(autoMaxProcesses(host({ available: 400, pids: 1_000, cpus: 2 }))).toMatchObject({
      value: 2,
      from: 'memory',
    });
    expect(autoMaxProcesses(host({ available: 8_192, pids: 256, cpus: 4 }))).toMatchObject({ value: 4, from: 'pids' });
    expect(autoMaxProcesses(host({ available: 8_192, pids: 30_000, cpus: 0.5 }))).toMatchObject({
      value: 8,
      from: 'cpus',
    });
  });

  it('[MACHINE-8] is the default where nothing is known, and needs no more than one of them', () => {
    expect(autoMaxProcesses({ at: 0 })).toEqual({ value: 15, from: 'default' });
    expect(autoMaxProcesses({ at: 0, memory: { totalMB: 4_096, from: 'machine' } }).from).toBe('default');
    expect(autoMaxProcesses(host({ cpus: 2 }))).toEqual({ value: 32, from: 'cpus' });
  });

  it('[MACHINE-8] is a whole number of at least 1, and never falls when a host has more', () => {
    fc.assert(
      fc.property(
        some,
        fc.constantFrom('available', 'pids', 'cpus'),
        fc.integer({ min: 1, max: 1e6 }),
        (one, of, more) => {
          const { value } = autoMaxProcesses(host(one));
          expect(Number.isSafeInteger(value) && value >= 1).toBe(true);
          const had = one[of];
          if (had === undefined) return;
          expect(autoMaxProcesses(host({ ...one, [of]: had + more })).value).toBeGreaterThanOrEqual(value);
        },
      ),
    );
  });
});

describe('the default of limits.memoryLimitMB', () => {
  it('[MACHINE-8] is 4,096, or 75 % of what the container or the machine has', () => {
    const limit = (totalMB: number) => defaultMemoryLimitMB({ at: 0, memory: { totalMB, from: 'container' } });
    expect(limit(24_105.6)).toBe(4_096);
    expect(limit(4_096)).toBe(3_072);
    expect(limit(512.5)).toBe(384);
    expect(defaultMemoryLimitMB({ at: 0 })).toBe(4_096);
  });
});
