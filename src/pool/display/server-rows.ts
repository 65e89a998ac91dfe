import type { HealthStatus } from '../../health/health-status.js';
import type { InstanceStatus, ServerStatus } from '../status.js';

/** What a line shows of one server: all its instances together. Undefined is what is not known. */
export interface ServerRow {
  /** Its label, or its name. */
  readonly name: string;
  readonly state: RowState;
  /** Its process trees, and how many it may have. */
  readonly trees: string;
  /** Processes of the operating system. */
  readonly processes: number | undefined;
  readonly memoryMB: number | undefined;
  readonly cpuPercent: number | undefined;
  readonly leases: number;
  /** Callers that wait for it. */
  readonly waiting: number;
  /** That of the instance with the worst. */
  readonly health: HealthStatus | undefined;
}

/**
 * `refused`: a breaker is open, so it is not started for some callers. `failed`: it has no process, and the last start has
 * failed. The others as those of instances.
 */
export type RowState =
  | 'quarantined'
  | 'refused'
  | 'ready'
  | 'starting'
  | 'stopping'
  | 'removed'
  | 'failed'
  | 'no process';

/** The worst first. */
const HEALTH: readonly HealthStatus[] = ['unhealthy', 'degraded', 'busy', 'healthy'];

export function serverRows(servers: Readonly<Record<string, ServerStatus>>): ServerRow[] {
  return Object.entries(servers).map(([name, server]) => {
    const { instances, label, maxInstances, waiting } = server;
    const most = Number.isFinite(maxInstances) ? maxInstances : '∞';
    return {
      name: label ?? name,
      state: stateOf(server),
      trees: `${instances.length}/${most}`,
      processes: sum(instances, ({ treeProcesses }) => treeProcesses),
      memoryMB: sum(instances, ({ memoryMB }) => memoryMB),
      cpuPercent: sum(instances, ({ cpuPercent }) => cpuPercent),
      leases: sum(instances, ({ leases }) => leases) ?? 0,
      waiting,
      health: HEALTH.find((status) => instances.some(({ health }) => health === status)),
    };
  });
}

/** What an operator should know first. */
function stateOf({ breakers, defined, instances, lastFailure }: ServerStatus): RowState {
  const has = (state: InstanceStatus['state']) => instances.some((instance) => instance.state === state);
  if (has('quarantined')) return 'quarantined';
  if (breakers.some(({ state }) => state !== 'closed')) return 'refused';
  if (has('ready')) return 'ready';
  if (has('starting')) return 'starting';
  if (has('stopping')) return 'stopping';
  if (!defined) return 'removed';
  return lastFailure === undefined ? 'no process' : 'failed';
}

/** Undefined when none of them is known. */
function sum(
  instances: readonly InstanceStatus[],
  figure: (instance: InstanceStatus) => number | undefined,
): number | undefined {
  const known = instances.map(figure).filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((all, value) => all + value, 0);
}
