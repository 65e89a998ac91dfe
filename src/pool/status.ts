import type { Sharing } from '../config/options.js';
import type { ContainmentStatus } from '../process/containment-status.js';
import type { ContainmentLevel } from '../process/launcher.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { ServerState } from '../server/server-state.js';
import type { Fleet } from './fleet.js';
import type { WaitQueue } from './wait-queue.js';

/** One process tree, as `status()` shows it. */
export interface InstanceStatus {
  readonly id: string;
  readonly pid: number | undefined;
  readonly state: ServerState;
  /** Leases on it now. */
  readonly leases: number;
  readonly tenant: string | undefined;
  /** Ms since the epoch. */
  readonly startedAt: number;
  /** Leases so far. */
  readonly uses: number;
  /** Requests that it has not answered. */
  readonly openRequests: number;
  /** Lines that it wrote to stdout and that are no messages. */
  readonly skippedLines: number;
  /** What holds its processes together: more may be asked for than is to be had. Undefined before it runs. */
  readonly containment: ContainmentLevel | undefined;
}

/** One server, as `status()` shows it. */
export interface ServerStatus {
  /** False for a server that was removed while some of its trees still live. */
  readonly defined: boolean;
  readonly sharing: Sharing | undefined;
  readonly maxInstances: number;
  /** Every tree that takes a slot, those of earlier definitions included. */
  readonly instances: readonly InstanceStatus[];
  readonly idle: number;
  /** Callers that wait for it. */
  readonly waiting: number;
  /** Why the last start failed; gone when one succeeds. */
  readonly lastFailure: string | undefined;
}

/** What a pool holds, as `status()` shows it. */
export interface PoolStatus {
  readonly state: 'open' | 'draining' | 'closed';
  /** Slots: trees that start, run, stop or are quarantined. */
  readonly processes: number;
  readonly maxProcesses: number;
  readonly idle: number;
  readonly leases: number;
  readonly waiting: number;
  readonly servers: Readonly<Record<string, ServerStatus>>;
  /**
   * What keeps the processes of servers together on this host, and why not more; undefined for a pool with a launcher of its
   * own. Tries out once what no start has tried out yet, which takes some ms.
   */
  readonly containment: ContainmentStatus | undefined;
}

/** Counts since the pool was made. */
export interface PoolMetrics {
  /** Trees that were spawned. */
  started: number;
  /** Starts that failed. */
  startFailures: number;
  /** Exits that nobody asked for. */
  crashes: number;
  /** Servers that were started again for leases whose process had ended unasked. */
  restarts: number;
  /** Trees that were proven dead. */
  stopped: number;
  quarantined: number;
  /** Leases given out. */
  acquired: number;
  released: number;
  reclaimed: number;
  leaked: number;
  /** Calls of `getServer()` that ended with an error while they waited. */
  rejected: number;
  /** Idle trees ended because a caller needed their slot. */
  evicted: number;
  /** Most slots taken at once. */
  mostProcesses: number;
}

export function newMetrics(): PoolMetrics {
  return {
    started: 0,
    startFailures: 0,
    crashes: 0,
    restarts: 0,
    stopped: 0,
    quarantined: 0,
    acquired: 0,
    released: 0,
    reclaimed: 0,
    leaked: 0,
    rejected: 0,
    evicted: 0,
    mostProcesses: 0,
  };
}

export function statusOf(
  state: PoolStatus['state'],
  fleet: Fleet,
  { leases, queue }: { readonly leases: ReadonlyMap<number, unknown>; readonly queue: WaitQueue },
  maxProcesses: number,
  containment: ContainmentStatus | undefined,
): PoolStatus {
  const waiting = new Map<string, number>();
  for (const { name } of queue) waiting.set(name, (waiting.get(name) ?? 0) + 1);
  const servers = [...fleet.groups.values()].map((group): [string, ServerStatus] => [
    group.name,
    {
      defined: group.definition !== undefined,
      sharing: group.definition?.sharing,
      maxInstances: group.definition?.maxInstances ?? 0,
      instances: [...group.instances].map(instanceStatus),
      idle: group.idleCount,
      waiting: waiting.get(group.name) ?? 0,
      lastFailure: group.lastFailure?.error.message,
    },
  ]);
  return {
    state,
    processes: fleet.used,
    maxProcesses,
    idle: fleet.idleCount,
    leases: leases.size,
    waiting: queue.size,
    servers: Object.fromEntries(servers),
    containment,
  };
}

function instanceStatus(instance: ServerInstance): InstanceStatus {
  const { id, pid, state, leases, tenant, startedAt, uses, openRequests, skippedLines, containment } = instance;
  return { id, pid, state, leases, tenant, startedAt, uses, openRequests, skippedLines, containment };
}
