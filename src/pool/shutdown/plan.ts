import { type PlanMode, resolveShutdownOptions } from '../../config/call-options.js';
import type { AlertLevel } from '../../config/monitoring-options.js';
import type { MonitorLoop } from '../../monitor/monitor-loop.js';
import type { CleanupQueue } from '../../process/cleanup-queue.js';
import type { EndMode, TreePlan } from '../../process/termination-report.js';
import type { EndReason } from '../../server/end-reason.js';
import type { ServerState } from '../../server/server-state.js';
import type { AcquireQueue } from '../acquire/acquire-queue.js';
import type { Matcher } from '../acquire/matcher.js';
import { evictionOrder, evictionReason } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { idleVerdicts, whyNotAgain } from '../instances/reuse.js';
import { isOpen } from '../instances/server-entry.js';
import type { Lease } from '../leases/lease.js';
import { type LeaseManager, silences } from '../leases/lease-manager.js';
import { REPLACEMENT_TIMEOUT, type RollingReplacement } from '../supervision/rolling-replacement.js';
import { isBusy, type Order, shutdownWaves } from './shutdown.js';

/** A process tree that would be ended. */
export interface PlannedEnd extends TreePlan {
  /** Name of its definition. */
  readonly name: string;
  /** `mcp-<timestamp>-<sequence>`. */
  readonly instanceId: string;
  /** Pid of the process that was spawned; undefined while none was. */
  readonly pid: number | undefined;
  /** The tenant for which it was started. */
  readonly tenant: string | undefined;
  /** Its state now. */
  readonly state: ServerState;
  /** As in `server:stopping`. Of a tree that is being ended already: the reason of that end. */
  readonly reason: EndReason;
  /** Longest time that requests in flight get before the first step, in ms; 0 without requests, and in an emergency. */
  readonly drain: number;
  /**
   * Number of its wave in a shutdown, from 0. Trees of one wave end side by side, one wave after the other. In the mode
   * `restart` the number of its server.
   */
  readonly wave: number;
  /**
   * Leases that would end with it; in the mode `restart` those that it waits for, since they cannot move to a new process.
   * `silent`: for how long each has been silent, in ms.
   */
  readonly leases: readonly { readonly leaseId: string; readonly owner: string | undefined; readonly silent: number }[];
}

/** Result of `plan()`: what a pool would end now. */
export interface PoolPlan {
  /** The argument of `plan()`. */
  readonly mode: PlanMode;
  /** In the order in which the ends would begin: of a shutdown wave by wave, `cleanup.concurrency` trees at a time. */
  readonly ends: readonly PlannedEnd[];
  /** Number of waiting callers that would be rejected. */
  readonly rejected: number;
}

export interface PlanDeps {
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
  readonly matcher: Matcher;
  readonly cleanup: CleanupQueue;
  readonly monitorLoop: MonitorLoop;
  readonly replacement: RollingReplacement;
  readonly order: Pick<Order, 'waveOf'>;
  readonly now: number;
}

/** A dry run. It uses the functions that decide in a real shutdown or eviction, so that both agree. */
export function planOf({ mode, level }: { mode: PlanMode; level: AlertLevel }, deps: PlanDeps): PoolPlan {
  if (mode === 'level') return { mode, ends: planLevel(level, deps), rejected: 0 };
  if (mode === 'reclaim') return { mode, ends: planReclaim(deps), rejected: 0 };
  if (mode === 'restart') return { mode, ends: planRestart(deps), rejected: 0 };
  return { mode, ends: planShutdown(mode === 'shutdown' ? 'graceful' : mode, deps), rejected: deps.queue.callers };
}

function planShutdown(mode: EndMode, { fleet, leases: manager, cleanup, order, now }: PlanDeps): PlannedEnd[] {
  const { drainTimeout } = resolveShutdownOptions({});
  // In an emergency all end at once.
  return shutdownWaves(fleet.instances(), manager, mode === 'graceful' ? order : undefined).flatMap((ends, wave) =>
    ends.map(({ instance, leases }) => {
      // A tree that is being ended keeps its mode, unless this is an emergency. A quarantined one is killed once more.
      const current = instance.state === 'quarantined' ? 'emergency' : cleanup.status(instance.id)?.mode;
      const drain = mode === 'graceful' && isBusy(instance, leases) ? drainTimeout : 0;
      const reason = instance.endReason ?? 'shutdown';
      const how = mode === 'graceful' ? (current ?? mode) : mode;
      return planned(instance, reason, how, { leases, drain, now, wave });
    }),
  );
}

/** The trees that a level would end, in the order of its actions, by the last sample. */
function planLevel(level: AlertLevel, { fleet, leases, monitorLoop, now }: PlanDeps): PlannedEnd[] {
  const instances = new Map([...fleet.instances()].map((instance) => [instance.id, instance]));
  return monitorLoop.victimsAt(level).flatMap(({ id }) => {
    const instance = instances.get(id);
    if (instance === undefined) return [];
    const circumstances = { leases: leases.of(instance), drain: 0, now, wave: 0 };
    return [planned(instance, 'overload', 'graceful', circumstances)];
  });
}

/** Idle instances, then starts that no caller waits for, then instances with silent leases only; none of essential servers. */
function planReclaim({ fleet, leases, matcher, now }: PlanDeps): PlannedEnd[] {
  const verdicts = [...fleet.entries.values()].flatMap((entry) => idleVerdicts(entry, now));
  const overdue = new Map(verdicts.map(({ instance, reason }) => [instance, reason]));
  const free = evictionOrder(matcher.evictable()).map((instance) =>
    planned(instance, overdue.get(instance) ?? evictionReason(instance), 'graceful', {
      leases: [],
      drain: 0,
      now,
      wave: 0,
    }),
  );
  const silent = [...silences(leases.list(), now)].filter(
    ([{ name, state, definition }, silence]) =>
      state === 'ready' && silence >= definition.leaseIdleTimeout && !fleet.entries.get(name)?.isEssential,
  );
  return [
    ...free,
    ...silent.map(([instance]) => {
      const surplus = fleet.entries.get(instance.name)?.isOverLimit ? 'surplus' : undefined;
      const reason = whyNotAgain(instance, now) ?? surplus ?? 'evicted';
      return planned(instance, reason, 'graceful', { leases: leases.of(instance), drain: 0, now, wave: 0 });
    }),
  ];
}

/** Server by server. What is being ended already is left out. */
function planRestart({ fleet, leases: manager, replacement, now }: PlanDeps): PlannedEnd[] {
  return [...fleet.entries.values()].filter(isOpen).flatMap(({ instances }, wave) =>
    [...instances]
      .filter((one) => (one.state === 'starting' || one.state === 'ready') && !replacement.isFresh(one))
      .map((instance) => {
        const leases = manager.of(instance);
        if (leases.length === 0) return planned(instance, 'restart', 'graceful', { leases, drain: 0, now, wave });
        const moves = replacement.canMove(instance);
        const drain = moves && isBusy(instance, leases) ? REPLACEMENT_TIMEOUT : 0;
        const reason = moves ? 'restart' : (instance.retired ?? 'restart');
        return planned(instance, reason, 'graceful', { leases: moves ? [] : leases, drain, now, wave });
      }),
  );
}

function planned(
  instance: PooledInstance,
  reason: EndReason,
  mode: EndMode,
  circumstances: {
    readonly leases: readonly Lease[];
    readonly drain: number;
    readonly now: number;
    readonly wave: number;
  },
): PlannedEnd {
  const { leases, drain, now, wave } = circumstances;
  const { id: instanceId, name, pid, tenant, state } = instance;
  return {
    ...{ name, instanceId, pid, tenant, state, reason, drain, wave },
    leases: leases.map((lease) => ({ leaseId: lease.id, owner: lease.owner, silent: lease.silence(now) })),
    ...instance.plan(mode),
  };
}
