import { type PlanMode, resolveShutdownOptions } from '../../config/call-options.js';
import type { CleanupQueue } from '../../process/cleanup-queue.js';
import type { EndMode, TreePlan } from '../../process/termination-report.js';
import type { EndReason } from '../../server/end-reason.js';
import type { ServerState } from '../../server/server-state.js';
import type { AcquireQueue } from '../acquire/acquire-queue.js';
import type { Matcher } from '../acquire/matcher.js';
import { evictionOrder } from '../instances/eviction.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import { idleVerdicts, whyNotAgain } from '../instances/reuse.js';
import type { Lease } from '../leases/lease.js';
import { type LeaseManager, silences } from '../leases/lease-manager.js';
import { isBusy, shutdownWaves } from './shutdown.js';

/** One process tree that would be ended. */
export interface PlannedEnd extends TreePlan {
  /** Name of its definition. */
  readonly name: string;
  readonly instanceId: string;
  readonly pid: number | undefined;
  readonly tenant: string | undefined;
  readonly state: ServerState;
  /** As `server:stopping` will have it; of what is being ended already, the reason of that. */
  readonly reason: EndReason;
  /** How long requests in flight may finish before the first step, ms; 0 when there are none, or they are not waited for. */
  readonly drain: number;
  /** Of a shutdown: trees of one wave end side by side, a wave begins when the one before it has ended. From 0. */
  readonly wave: number;
  /** Leases that are taken from their holders. `silent`: for how long, ms. */
  readonly leases: readonly { readonly leaseId: string; readonly owner: string | undefined; readonly silent: number }[];
}

/** What a pool would end now. */
export interface PoolPlan {
  readonly mode: PlanMode;
  /** In the order in which it would begin; a shutdown begins with all at once, and climbs with `cleanup.concurrency`. */
  readonly ends: readonly PlannedEnd[];
  /** Callers that wait, and would be rejected. */
  readonly rejected: number;
}

export interface PlanDeps {
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly queue: AcquireQueue;
  readonly matcher: Matcher;
  readonly cleanup: CleanupQueue;
  readonly now: number;
}

/** The dry run, by the rules of the real thing: what these decide is decided nowhere else. */
export function planOf(mode: PlanMode, deps: PlanDeps): PoolPlan {
  if (mode === 'reclaim') return { mode, ends: planReclaim(deps), rejected: 0 };
  return { mode, ends: planShutdown(mode === 'shutdown' ? 'graceful' : mode, deps), rejected: deps.queue.size };
}

function planShutdown(mode: EndMode, { fleet, leases: manager, cleanup, now }: PlanDeps): PlannedEnd[] {
  const { drainTimeout } = resolveShutdownOptions({});
  return shutdownWaves(fleet, manager).flatMap((ends, wave) =>
    ends.map(({ instance, leases }) => {
      // What is being ended already stays on its ladder, unless it is hurried; what is quarantined is killed once more.
      const current = instance.state === 'quarantined' ? 'emergency' : cleanup.status(instance.id)?.mode;
      const drain = mode === 'graceful' && isBusy(instance, leases) ? drainTimeout : 0;
      const reason = instance.endReason ?? 'shutdown';
      const how = mode === 'graceful' ? (current ?? mode) : mode;
      return planned(instance, reason, how, { leases, drain, now, wave });
    }),
  );
}

/** Idle ones, then starts that no caller waits for, then those whose leases are all silent. */
function planReclaim({ fleet, leases, matcher, now }: PlanDeps): PlannedEnd[] {
  const verdicts = [...fleet.entries.values()].flatMap((entry) => idleVerdicts(entry, now));
  const overdue = new Map(verdicts.map(({ instance, reason }) => [instance, reason]));
  const free = evictionOrder(matcher.evictable()).map((instance) =>
    planned(instance, overdue.get(instance) ?? 'evicted', 'graceful', { leases: [], drain: 0, now, wave: 0 }),
  );
  const silent = [...silences(leases.list(), now)].filter(
    ([{ state, definition }, silence]) => state === 'ready' && silence >= definition.leaseIdleTimeout,
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
