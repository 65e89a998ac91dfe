import { type PlanMode, resolveShutdownOptions } from '../config/call-options.js';
import type { CleanupQueue } from '../process/cleanup-queue.js';
import type { EndMode, TreePlan } from '../process/termination-report.js';
import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { ServerState } from '../server/server-state.js';
import type { Fleet } from './fleet.js';
import type { Lease } from './lease.js';
import type { LeaseDesk } from './lease-desk.js';
import type { Lifecycle } from './lifecycle.js';
import { idleVerdicts, whyNotAgain } from './reuse.js';
import { isOverLimit } from './server-group.js';
import { isBusy, shutdownEnds } from './shutdown.js';
import { silenceOf, silences } from './silence.js';
import type { WaitingCallers } from './waiting-callers.js';

/** One process tree that would be ended. */
export interface PlannedEnd extends TreePlan {
  /** Name of its definition. */
  readonly name: string;
  readonly instanceId: string;
  readonly pid: number | undefined;
  readonly tenant: string | undefined;
  readonly state: ServerState;
  /** As `server:stopping` will tell it; of what is being ended already, the reason of that. */
  readonly reason: EndReason;
  /** How long requests in flight may finish before the first step, ms; 0 when there are none, or they are not waited for. */
  readonly drain: number;
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

export interface PlanParts {
  readonly fleet: Fleet;
  readonly desk: LeaseDesk;
  readonly waiting: WaitingCallers;
  readonly lifecycle: Lifecycle;
  readonly cleanup: CleanupQueue;
  readonly now: number;
}

/** Foresees by the rules that the real thing goes by: what these decide is decided nowhere else. */
export function planOf(mode: PlanMode, parts: PlanParts): PoolPlan {
  if (mode === 'reclaim') return { mode, ends: planReclaim(parts), rejected: 0 };
  return {
    mode,
    ends: planShutdown(mode === 'shutdown' ? 'graceful' : mode, parts),
    rejected: parts.waiting.queue.size,
  };
}

function planShutdown(mode: EndMode, { fleet, desk, lifecycle, cleanup, now }: PlanParts): PlannedEnd[] {
  const { drainTimeout } = resolveShutdownOptions({});
  return [...shutdownEnds(fleet, desk.leases)].map(([instance, leases]) => {
    // What is being ended already stays on its ladder, unless it is hurried; what is quarantined is killed once more.
    const current = instance.state === 'quarantined' ? 'emergency' : cleanup.status(instance.id)?.mode;
    const drain = mode === 'graceful' && isBusy(instance, leases) ? drainTimeout : 0;
    const reason = lifecycle.endReason(instance) ?? 'shutdown';
    return planned(instance, reason, mode === 'graceful' ? (current ?? mode) : mode, { leases, drain, now });
  });
}

/** Idle ones, then starts that nobody waits for, then those whose leases are all silent. */
function planReclaim({ fleet, desk, waiting, now }: PlanParts): PlannedEnd[] {
  const verdicts = [...fleet.groups.values()].flatMap((group) => idleVerdicts(group, now));
  const overdue = new Map(verdicts.map(({ instance, reason }) => [instance, reason]));
  const free = [...fleet.idleLongestFirst(), ...waiting.surplusStarts()].map((instance) =>
    planned(instance, overdue.get(instance) ?? 'evicted', 'graceful', { leases: [], drain: 0, now }),
  );
  const silent = [...silences(desk.leases.values(), now)].filter(
    ([{ state, definition }, silence]) => state === 'ready' && silence >= definition.leaseIdleTimeout,
  );
  return [
    ...free,
    ...silent.map(([instance]) => {
      const group = fleet.group(instance.name);
      const surplus = group && isOverLimit(group) ? 'surplus' : undefined;
      const reason = whyNotAgain(instance, now) ?? surplus ?? 'evicted';
      return planned(instance, reason, 'graceful', { leases: desk.leasesOf(instance), drain: 0, now });
    }),
  ];
}

function planned(
  instance: ServerInstance,
  reason: EndReason,
  mode: EndMode,
  { leases, drain, now }: { readonly leases: readonly Lease[]; readonly drain: number; readonly now: number },
): PlannedEnd {
  const { id: instanceId, name, pid, tenant, state } = instance;
  return {
    ...{ name, instanceId, pid, tenant, state, reason, drain },
    leases: leases.map((lease) => ({ leaseId: lease.id, owner: lease.owner, silent: silenceOf(lease, now) })),
    ...instance.plan(mode),
  };
}
