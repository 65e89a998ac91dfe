import { describe, expect, it } from 'vitest';
import type { MonitoringOptions } from '../../src/config/monitoring-options.js';
import { assessed, NO_LIMITS, type SampledTree } from '../helpers/assessed.js';

const ENFORCED = { levels: { enforce: true }, hostMemoryPercent: 100 } as const;
const onEmergency = () => {};

/** Samples of a pool with a limit of 1,000 MB of all trees, 5 s apart. */
function sampled(options: MonitoringOptions, isSet: boolean) {
  const { assessment, sample } = assessed(options, { ...NO_LIMITS, memoryMB: { limit: 1_000, isSet } });
  let at = 0;
  const next = (trees: readonly SampledTree[]) => {
    at += 5_000;
    const { treeActions, poolActions, gate } = sample(at, trees);
    return {
      ends: treeActions.map(({ action, id }) => `${action} ${id}`),
      all: poolActions.map((one) => (one.action === 'end-all' ? one.ids : one.action)),
      refuses: gate.overload?.level,
      waits: gate.shortage !== undefined,
    };
  };
  const last = (trees: readonly SampledTree[], samples = 10) => {
    let outcome = next(trees);
    for (let count = 1; count < samples; count += 1) outcome = next(trees);
    return outcome;
  };
  return { assessment, next, last, now: () => at };
}
const leased = (memoryMB: number): SampledTree => ({ id: 'l', name: 'l', memoryMB, expectedProcesses: 1 });
const idle: SampledTree = { id: 'i', name: 'i', leases: 0, memoryMB: 50, expectedProcesses: 1 };

describe('a default limit of the memory of all trees', () => {
  it.each([
    ['critical', 950],
    ['nuclear', 1_600],
    ['emergency', 2_400],
  ])('[DEFAULT-1] brings the level %s, which refuses no start and ends none with a lease', (level, memoryMB) => {
    const { assessment, last } = sampled({ ...ENFORCED, onEmergency }, false);
    const { ends, all, refuses, waits } = last([leased(memoryMB), idle]);
    expect(assessment.level).toBe(level);
    expect([ends.filter((end) => end !== 'end-idle i'), all, refuses]).toEqual([[], [], undefined]);
    expect(waits).toBe(memoryMB > 1_000);
    // The limit of the host does.
    const set = sampled(ENFORCED, true);
    expect(set.last([leased(memoryMB)]).refuses).toBe(level);
  });

  it('[DEFAULT-1] at emergency calls the host, and ends idle trees: by default, and where the host has listed end-all', () => {
    const lists = { actions: { emergency: ['end-all', 'call-host'], nuclear: ['refuse-starts', 'end-all'] } } as const;
    for (const levels of [{ enforce: true }, lists]) {
      const { next, assessment, now } = sampled({ ...ENFORCED, levels, onEmergency }, false);
      const { ends, all, refuses } = next([leased(2_400), idle]);
      expect([ends, all, refuses]).toEqual([['end-idle i'], ['call-host'], undefined]);
      expect(assessment.victimsAt('emergency', now()).map(({ id }) => id)).toEqual(['i']);
      const set = sampled({ ...ENFORCED, levels, onEmergency }, true);
      expect(set.next([leased(2_400), idle]).all).toEqual([['i', 'l'], 'call-host']);
    }
  });

  it('[DEFAULT-2] hides no level of processes: what that does is done', () => {
    const { assessment, last, next } = sampled(ENFORCED, false);
    last([leased(2_400), { ...leased(100), id: 'f' }]);
    const forks = { ...leased(100), id: 'f', processes: 61 };
    const { ends, refuses } = next([leased(2_400), forks]);
    expect(assessment.level).toBe('emergency');
    expect([ends, refuses]).toEqual([['end-unexpected f'], 'nuclear']);
    expect(assessment.victimsAt('emergency', 0).map(({ id }) => id)).toEqual(['f']);
    expect(next([leased(2_400), { ...forks, processes: 120 }]).all).toEqual([['f', 'l']]);
    // It is over but for its cooldown, in which it refuses starts and ends none.
    const [first, later] = [next([leased(2_400), leased(100)]), last([leased(2_400)], 20)];
    expect([first.ends, first.all, first.refuses]).toEqual([[], [], 'emergency']);
    expect([later.ends, later.all, later.refuses, assessment.level]).toEqual([[], [], undefined, 'emergency']);
  });
});
