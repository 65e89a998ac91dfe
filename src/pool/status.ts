import type { Alert } from '../config/alert.js';
import type { MaxProcessesSource, ResolvedLimits } from '../config/limit-options.js';
import type { Sharing } from '../config/options.js';
import type { AlertManager } from '../health/alerts/alert-manager.js';
import type { HealthStatus } from '../health/health-status.js';
import type { Level } from '../monitor/level.js';
import type { MonitorLoop } from '../monitor/monitor-loop.js';
import type { TreeSample } from '../monitor/resource-sample.js';
import type { ContainmentStatus } from '../process/containment-status.js';
import type { ContainmentLevel } from '../process/launcher.js';
import type { ServerState } from '../server/server-state.js';
import type { AcquireQueue } from './acquire/acquire-queue.js';
import type { Fleet } from './instances/fleet.js';
import type { PooledInstance } from './instances/pooled-instance.js';
import type { LeaseManager } from './leases/lease-manager.js';
import type { BreakerStatus, Breakers } from './supervision/breakers.js';
import type { StartTurns } from './supervision/start-turns.js';

/** One process tree, as `status()` shows it. */
export interface InstanceStatus {
  /** `mcp-<timestamp>-<sequence>`. */
  readonly id: string;
  /** Pid of the process that was spawned; undefined while none was. */
  readonly pid: number | undefined;
  /** `name@version` of the package that it runs without npm (`resolvePackages`); undefined for what is started by its command. */
  readonly package: string | undefined;
  readonly state: ServerState;
  /** Whether it waits for its turn to be spawned (`limits.concurrentStarts`). */
  readonly waitsForTurn: boolean;
  /** Number of leases on it now. */
  readonly leases: number;
  /** The tenant that it serves; before its first lease that for which it was started, when it is idle none. */
  readonly tenant: string | undefined;
  /** The owner that alone may use it (`reuse: 'owner'`); undefined when any may, or those without an owner. */
  readonly owner: string | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Number of leases that it has served, those of now included. */
  readonly uses: number;
  /** Number of requests that it has not answered. */
  readonly openRequests: number;
  /** Number of lines on its stdout that were no messages. */
  readonly skippedLines: number;
  /** Number of its answers that belonged to no open request; answers to requests that were given up are not among them. */
  readonly unmatchedAnswers: number;
  /**
   * The first of both: at most 5, each with at most 200 characters, control characters as codes, secrets of the definition
   * hidden.
   */
  readonly dropped: readonly string[];
  /** What keeps its processes together in fact: this may be less than `containment` asks for. Undefined before it runs. */
  readonly containment: ContainmentLevel | undefined;
  /** Unique memory of its processes in the last sample of the monitor, MB; undefined before it was measured. */
  readonly memoryMB: number | undefined;
  /** Their CPU since the sample before, percent of one core; undefined before it was measured twice. */
  readonly cpuPercent: number | undefined;
  /** How many they are. */
  readonly treeProcesses: number | undefined;
  /** Whether it answers; undefined before its first health check, and where none is made. */
  readonly health: HealthStatus | undefined;
}

/** One server, as `status()` shows it. */
export interface ServerStatus {
  /** False for a server that was removed while some of its trees still live. */
  readonly defined: boolean;
  /** What errors call it instead of its name; undefined when its definition has no label, or was removed. */
  readonly label: string | undefined;
  /** Undefined when the server was removed. */
  readonly sharing: Sharing | undefined;
  /** 0 when the server was removed. */
  readonly maxInstances: number;
  /** Every tree that takes a slot, or waits for the slot of its predecessor; those of earlier definitions included. */
  readonly instances: readonly InstanceStatus[];
  /** Number of idle instances. */
  readonly idle: number;
  /** Number of callers that wait for it. */
  readonly waiting: number;
  /** Message of the error of the last start; undefined when it succeeded. */
  readonly lastFailure: string | undefined;
  /** One for each tenant with failures that count. */
  readonly breakers: readonly BreakerStatus[];
}

/** The state of a pool, as `status()` shows it. */
export interface PoolStatus {
  /** `draining`: `shutdown()` was called and is not complete. */
  readonly state: 'open' | 'draining' | 'closed';
  /** How far the pool is from what is expected of it: see `monitoring.levels`. */
  readonly level: Level;
  /** Number of slots that are taken: by trees that start, run, stop or are quarantined. */
  readonly processes: number;
  /** Number of slots. */
  readonly maxProcesses: number;
  /**
   * What decided that number: the option, or its default (`option`); with `limits.maxProcesses: 'auto'` what the machine, or
   * its container, had least of: `memory`, `pids` or `cpus`; `default` if none of these is known.
   */
  readonly maxProcessesFrom: MaxProcessesSource;
  /** Number of idle instances. */
  readonly idle: number;
  /** Number of leases that are held. */
  readonly leases: number;
  /** Number of callers that wait. */
  readonly waiting: number;
  /** Number of starts that wait for their turn (`limits.concurrentStarts`). They have slots, but no process yet. */
  readonly startsWaiting: number;
  /** By name. */
  readonly servers: Readonly<Record<string, ServerStatus>>;
  /** The alerts that were raised and are not resolved, the most severe first. `pool.alerts.active()` has their figures, too. */
  readonly alerts: readonly Omit<Alert, 'data'>[];
  /**
   * What keeps the processes of servers together on this host, and why not more. Undefined for a pool with a launcher of the
   * host. The first call may take some ms, since it tries out what no start has tried yet.
   */
  readonly containment: ContainmentStatus | undefined;
}

/** Where a pool is in its life. Written by the pool itself. */
export interface PoolLife {
  state: PoolStatus['state'];
  /** Clock time, ms. */
  readonly madeAt: number;
}

export interface StatusDeps {
  readonly life: PoolLife;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
  readonly turns: StartTurns;
  readonly breakers: Breakers;
  readonly alerts: AlertManager;
  readonly monitorLoop: MonitorLoop;
  readonly poolHealth: { statusOf(instanceId: string): HealthStatus | undefined };
  readonly limits: Pick<ResolvedLimits, 'maxProcessesFrom'>;
}

export function statusOf(deps: StatusDeps, containment: ContainmentStatus | undefined): PoolStatus {
  const { breakers, fleet, monitorLoop, poolHealth, queue, turns } = deps;
  const samples = new Map(monitorLoop.counted.map((sample) => [sample.id, sample]));
  const servers = [...fleet.entries.values()].map((entry): [string, ServerStatus] => [
    entry.name,
    {
      defined: entry.definition !== undefined,
      label: entry.label,
      sharing: entry.definition?.sharing,
      maxInstances: entry.definition?.maxInstances ?? 0,
      instances: [...entry.instances].map((instance) => ({
        ...instanceStatus(instance, turns, samples.get(instance.id)),
        health: poolHealth.statusOf(instance.id),
      })),
      idle: entry.idleCount,
      waiting: queue.countOf(entry.name),
      lastFailure: entry.lastFailure?.error.message,
      breakers: breakers.statusOf(entry.name),
    },
  ]);
  return {
    ...countsOf(deps),
    maxProcessesFrom: deps.limits.maxProcessesFrom,
    level: monitorLoop.level,
    servers: Object.fromEntries(servers),
    alerts: deps.alerts.active().map(({ data: _, ...shown }) => shown),
    containment,
  };
}

/** What a pool shows in a log: counts, since it may have many servers. */
export function summaryOf(deps: StatusDeps): object {
  return { ...countsOf(deps), servers: deps.fleet.entries.size };
}

function countsOf({ fleet, leases, life, queue, turns }: StatusDeps) {
  return {
    state: life.state,
    processes: fleet.slots.used,
    maxProcesses: fleet.slots.limit,
    idle: fleet.idle.count,
    leases: leases.size,
    waiting: queue.callers,
    startsWaiting: turns.waiting,
  };
}

function instanceStatus(
  instance: PooledInstance,
  turns: StartTurns,
  sample: TreeSample | undefined,
): Omit<InstanceStatus, 'health'> {
  const { id, pid, state, leases, tenant, owner, startedAt, uses, openRequests, containment } = instance;
  const { skippedLines, unmatchedAnswers, first } = instance.noise;
  const use = { waitsForTurn: turns.isWaiting(instance), leases, tenant, owner, startedAt, uses, openRequests };
  const measured = { memoryMB: sample?.memoryMB, cpuPercent: sample?.cpuPercent, treeProcesses: sample?.processes };
  return {
    id,
    pid,
    package: instance.startCommand?.package,
    state,
    ...use,
    skippedLines,
    unmatchedAnswers,
    dropped: [...first],
    containment,
    ...measured,
  };
}
