import { describe, expect, it } from 'vitest';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { ServiceLevelOptions } from '../../src/config/service-level-options.js';
import type { PoolError } from '../../src/errors.js';

const resolve = (serviceLevels: unknown) =>
  resolvePoolOptions({ serviceLevels: serviceLevels as ServiceLevelOptions }).serviceLevels;

function problemsOf(serviceLevels: unknown): readonly string[] {
  try {
    resolve(serviceLevels);
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    return (error as PoolError).data.problems ?? [];
  }
  return [];
}

describe('serviceLevels', () => {
  it('[SLO-9] has the targets of issue 12 by default', () => {
    expect(resolve(undefined)).toEqual({
      enabled: true,
      targets: {
        availabilityPercent: 99.9,
        failurePercent: 1,
        acquireTime: 500,
        restartTime: 10_000,
        detectionTime: 60_000,
        startupTime: 60_000,
        shutdownTime: 30_000,
        unexpectedRestarts: 0,
        criticalViolations: 0,
        pressureEvents: 0,
        alertsPerDay: 5,
        memoryMB: 500,
        concurrentSessions: 250,
      },
    });
  });

  it('[SLO-9] takes the targets that the host sets', () => {
    const targets = { availabilityPercent: 99, acquireTime: 50, unexpectedRestarts: 3 };
    expect(resolve({ targets }).targets).toMatchObject({ ...targets, failurePercent: 1 });
    expect(resolve({ enabled: false, targets: {} }).enabled).toBe(false);
  });

  it.each([
    [
      { targets: { availabilityPercent: 100 } },
      /^serviceLevels\.targets\.availabilityPercent must be .* below 100, got 100$/,
    ],
    [{ targets: { availabilityPercent: 0.999 } }, /if this is a share of 1, write 99\.9$/],
    [{ targets: { failurePercent: 0 } }, /^serviceLevels\.targets\.failurePercent must be a number of percent above 0/],
    [
      { targets: { acquireTime: Infinity } },
      /^serviceLevels\.targets\.acquireTime must be a finite number of milliseconds/,
    ],
    [
      { targets: { alertsPerDay: 0 } },
      /^serviceLevels\.targets\.alertsPerDay must be a whole number, 1 or more, got 0$/,
    ],
    [
      { targets: { availability: 99 } },
      /^serviceLevels\.targets\.availability .*did you mean 'availabilityPercent'\?$/,
    ],
    [{ acquireTime: 3 }, /^serviceLevels\.acquireTime .*did you mean 'targets\.acquireTime'\?$/],
    [{ targets: 3 }, /^serviceLevels\.targets must be an object, got 3$/],
    [false, /^serviceLevels must be an object, got false; write \{ enabled: false \} to switch it off/],
    [
      { enabled: false, targets: { memoryMB: 1 } },
      /^serviceLevels\.targets must not be set where serviceLevels\.enabled is false/,
    ],
  ])('[SLO-9] refuses %j', (serviceLevels, problem) => {
    expect(problemsOf(serviceLevels)).toEqual([expect.stringMatching(problem)]);
  });
});
