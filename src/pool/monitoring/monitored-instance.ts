import type { MonitoredTree } from '../../monitor/monitored-tree.js';
import type { PooledInstance } from '../instances/pooled-instance.js';

/** An instance, as the monitor of its pool sees it now. */
export function treeOf(instance: PooledInstance): MonitoredTree {
  const { id, name, definition, state, leases, idleSince, answers } = instance;
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
      memoryMB: { limit: memoryLimitMB, isSet: true },
      cpuPercent: { limit: cpuLimitPercent, isSet: true },
      cpuWindow,
      processes: { limit: maxTreeProcesses, isSet: true },
    },
    replacesLeaks: restartOnMemoryLeak,
    // One that is being ended, or ends with its last lease, is not ended again.
    mayEnd: (state === 'ready' || state === 'starting') && instance.retired === undefined,
    isReady: state === 'ready',
    answered: answers,
    usage: () => instance.usage(),
  };
}
