import type { Sharing } from '../config/options.js';
import type { ContainmentStatus } from '../process/containment-status.js';
import type { ContainmentLevel } from '../process/launcher.js';
import type { ServerState } from '../server/server-state.js';
import type { AcquireQueue } from './acquire/acquire-queue.js';
import type { Fleet } from './instances/fleet.js';
import type { PooledInstance } from './instances/pooled-instance.js';
import type { LeaseManager } from './leases/lease-manager.js';

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

export interface StatusDeps {
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
}

export function statusOf(
  state: PoolStatus['state'],
  { fleet, leases, queue }: StatusDeps,
  containment: ContainmentStatus | undefined,
): PoolStatus {
  const servers = [...fleet.entries.values()].map((entry): [string, ServerStatus] => [
    entry.name,
    {
      defined: entry.definition !== undefined,
      sharing: entry.definition?.sharing,
      maxInstances: entry.definition?.maxInstances ?? 0,
      instances: [...entry.instances].map(instanceStatus),
      idle: entry.idleCount,
      waiting: queue.countOf(entry.name),
      lastFailure: entry.lastFailure?.error.message,
    },
  ]);
  return {
    state,
    processes: fleet.slots.used,
    maxProcesses: fleet.slots.limit,
    idle: fleet.idleCount,
    leases: leases.size,
    waiting: queue.size,
    servers: Object.fromEntries(servers),
    containment,
  };
}

function instanceStatus(instance: PooledInstance): InstanceStatus {
  const { id, pid, state, leases, tenant, startedAt, uses, openRequests, skippedLines, containment } = instance;
  return { id, pid, state, leases, tenant, startedAt, uses, openRequests, skippedLines, containment };
}
