import type { MonitoringOptions } from '../../src/config/monitoring-options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { Assessment, type MeasuredTree, type Outcome } from '../../src/monitor/assessment.js';
import type { MonitoredTree, TotalLimits } from '../../src/monitor/monitored-tree.js';
import type { HostSample } from '../../src/process/host/host-sample.js';
import type { TreeUsage } from '../../src/process/usage/tree-usage.js';

/** What one tree is, and uses, at one moment. Without a figure: what a quiet server has. */
export interface SampledTree extends Partial<MonitoredTree>, Partial<Omit<TreeUsage, 'at'>> {
  /** Of the clock that its usage has. Default: that of the sample. */
  readonly usageAt?: number;
  /** Whether nothing of it lives, or it cannot be measured. */
  readonly state?: 'vanished' | 'unknown';
}

export const NO_LIMITS: TotalLimits = {
  memoryMB: { limit: Infinity, isSet: false },
  cpuPercent: { limit: Infinity, isSet: false },
};

/** The decisions of a monitor, without a clock, a pool, or a process. */
export function assessed(options: MonitoringOptions = {}, limits: TotalLimits = NO_LIMITS, isPool = true) {
  let now: readonly MonitoredTree[] = [];
  const assessment = new Assessment(resolvePoolOptions({ monitoring: options }).monitoring, {
    isPool,
    limits: () => limits,
    trees: () => now,
  });
  const sample = (
    at: number,
    trees: readonly SampledTree[],
    host: Partial<HostSample> = {},
    unclaimed = 0,
  ): Outcome => {
    const measured = trees.map((tree) => measuredOf(at, tree));
    now = measured.map(({ tree }) => tree);
    const outcome = assessment.take({
      at,
      date: at,
      host: { at, ...host },
      trees: measured,
      unclaimed,
      isUnclaimedKnown: true,
    });
    // Each action is carried out, unless the test says what was.
    if (!options.dryRun) for (const action of outcome.treeActions) assessment.done(action, 'ending');
    return outcome;
  };
  return { assessment, sample };
}

function measuredOf(at: number, { state, usageAt = at, ...given }: SampledTree): MeasuredTree {
  const { memoryMB = 100, residentMB = 200, cpuTime = 0, processes = 1, zombies = 0, threads = 1 } = given;
  const { id = 'a 1', name = 'a', priority = 'normal', limits = {}, expectedProcesses, phase = 'ready' } = given;
  const { replacesLeaks = false, leases = 1, idleSince = 0, answered, uptime = at } = given;
  const usage = { at: usageAt, memoryMB, residentMB, cpuTime, processes, zombies, threads, uptime };
  const tree: MonitoredTree = {
    ...{ id, name, priority, limits, expectedProcesses, phase, replacesLeaks, leases, idleSince, answered },
    usage: () => Promise.resolve(usage),
    detailedUsage: () => Promise.resolve(undefined),
  };
  return { tree, usage: state === undefined ? usage : undefined, isKnown: state !== 'unknown' };
}
