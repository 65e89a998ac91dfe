import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpuReading, cpuPercent } from '../../src/monitor/cpu-percent.js';
import { propertyRuns } from '../helpers/properties.js';

const BEFORE: CpuReading = { at: 1_000_000, cpuTime: 20_000, uptime: 60_000 };
/** A reading `step` ms later, in which the tree has used so many percent of one core. */
const later = (step: number, percent: number, { at = step, uptime = step } = {}): CpuReading => ({
  at: BEFORE.at + at,
  cpuTime: BEFORE.cpuTime + (step * percent) / 100,
  uptime: BEFORE.uptime + uptime,
});
const usual = fc.integer({ min: 100, max: 60_000 });
const percents = fc.integer({ min: 0, max: 6400 });

describe('cpuPercent', () => {
  it('[CPU-1] is the CPU time between two readings, in percent of one core', () => {
    fc.assert(
      fc.property(usual, percents, (step, percent) => {
        expect(cpuPercent(BEFORE, later(step, percent))).toBeCloseTo(percent, 6);
      }),
    );
    expect(cpuPercent(undefined, BEFORE)).toBeUndefined();
  });

  it('[CPU-1] is never more than all cores have', () => {
    expect(cpuPercent(BEFORE, later(5000, 900), 4)).toBe(400);
    expect(cpuPercent(BEFORE, later(5000, 400), 4)).toBe(400);
  });

  it('[CPU-2] is never a spike, however the clock was set: unknown, or not above the truth', () => {
    const jumps = fc.oneof(fc.integer({ min: -6000, max: 6000 }), fc.integer({ min: -1e9, max: 1e9 }));
    fc.assert(
      fc.property(usual, percents, jumps, (step, percent, jump) => {
        const found = cpuPercent(BEFORE, later(step, percent, { at: step + jump }));
        if (found !== undefined) expect(found).toBeLessThanOrEqual(percent + 1e-6);
      }),
      { numRuns: propertyRuns(1_000).cases },
    );
  });

  it('[CPU-2] is unknown after a large jump of the clock, or while the machine was suspended', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1000, max: 60_000 }), percents, fc.boolean(), (step, percent, isUptime) => {
        const jumped = step + 3_600_000;
        const reading = later(step, percent, isUptime ? { uptime: jumped } : { at: jumped });
        expect(cpuPercent(BEFORE, reading)).toBeUndefined();
        expect(cpuPercent(reading, BEFORE)).toBeUndefined();
      }),
    );
  });

  it.each<[string, CpuReading]>([
    ['a server that was started again', { at: BEFORE.at + 5000, cpuTime: 300, uptime: 400 }],
    ['one that was started again and has used more', { at: BEFORE.at + 5000, cpuTime: 21_000, uptime: 4000 }],
    ['one that was started again a moment ago', later(200, 10, { uptime: -10 })],
    ['a counter that starts again', { ...later(5000, 10), cpuTime: 0 }],
    ['the same moment', BEFORE],
    ['readings that are too close', later(99, 100)],
    ['a time that runs backwards', later(-5000, 10)],
    ['a figure that is none', { ...later(5000, 10), cpuTime: Number.NaN }],
    ['a time that is none', { ...later(5000, 10), at: Number.NaN }],
  ])('[CPU-2] is unknown for %s', (_, reading) => {
    expect(cpuPercent(BEFORE, reading)).toBeUndefined();
  });
});
