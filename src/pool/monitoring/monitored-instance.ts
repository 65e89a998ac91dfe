import type { MonitoredTree, TreePhase } from '../../monitor/monitored-tree.js';
import type { PooledInstance } from '../instances/pooled-instance.js';

/** An instance, as the monitor of its pool sees it now. */
export function treeOf(instance: PooledInstance): MonitoredTree {
  const { id, name, definition, idleSince, answers } = instance;
  // What others depend on is in use, as by a lease.
  const leases = instance.leases + (instance.isNeeded ? 1 : 0);
  const {
    priority,
    expectedProcesses,
    cpuLimitPercent,
    cpuWindow,
    maxTreeProcesses,
    memoryLimitMB,
    restartOnMemoryLeak,
  } = definition;
  return {
    ...{ id, name, priority, expectedProcesses, leases, idleSince },
    limits: {
      memoryMB: memoryLimitMB,
      cpuPercent: cpuLimitPercent,
      cpuWindow,
      processes: maxTreeProcesses,
    },
    replacesLeaks: restartOnMemoryLeak,
    phase: phaseOf(instance),
    endGrace: definition.eofGrace + definition.termGrace,
    answered: answers,
    usage: () => instance.usage(),
    detailedUsage: () => instance.detailedUsage(),
  };
}

function phaseOf({ state, retired }: PooledInstance): TreePhase {
  if (state === 'starting') return 'starting';
  if (state === 'quarantined') return 'overdue';
  if (state !== 'ready') return 'ending';
  return retired === undefined ? 'ready' : 'leaving';
}
