import type { ActionKind, EndAll, GateState, TreeAction } from '../../monitor/finding.js';
import type { ActionTask, Enforcer } from '../../monitor/monitored-host.js';
import type { Clock } from '../../runtime/clock.js';
import type { DueTimes } from '../../runtime/due-times.js';
import { type EndCause, type ExceededLimit, endedByPool } from '../../server/end-cause.js';
import type { EndReason } from '../../server/end-reason.js';
import type { Operations } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { Lease } from '../leases/lease.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import { Shutdown } from '../shutdown/shutdown.js';
import type { RollingReplacement } from '../supervision/rolling-replacement.js';
import type { StartTurns } from '../supervision/start-turns.js';

export interface PoolEnforcerDeps {
  readonly clock: Clock;
  readonly dueTimes: DueTimes;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly scheduler: Operations;
  readonly replacement: RollingReplacement;
  readonly turns: StartTurns;
}

/** What ends a tree, by what has asked for it, and the option that its error names. */
const REASONS: Readonly<Record<ActionKind, { reason: EndReason; option?: ExceededLimit['option'] }>> = {
  memory: { reason: 'memory-limit', option: 'memoryLimitMB' },
  cpu: { reason: 'cpu-limit', option: 'cpuLimitPercent' },
  processes: { reason: 'process-limit', option: 'maxTreeProcesses' },
  'total-memory': { reason: 'memory-limit', option: 'limits.memoryLimitMB' },
  'total-cpu': { reason: 'cpu-limit', option: 'limits.cpuLimitPercent' },
  'host-memory': { reason: 'memory-limit' },
  leak: { reason: 'memory-leak' },
  level: { reason: 'overload' },
};

/** How long a shared server that is far over a limit gets for its requests when it is replaced, ms. */
const URGENT_DRAIN = 5_000;

/** Requests in flight get no time: the level means that the host is in danger. */
const AT_ONCE = { mode: 'graceful', timeout: 30_000, drainTimeout: 0 } as const;

/** Does to the servers of a pool what its monitor has decided. */
export class PoolEnforcer implements Enforcer {
  readonly #deps: PoolEnforcerDeps;

  constructor(deps: PoolEnforcerDeps) {
    this.#deps = deps;
  }

  run(task: () => void): void {
    this.#deps.scheduler.run(task);
  }

  get isActive(): boolean {
    return this.#deps.fleet.isOpen;
  }

  taskOf(action: TreeAction | EndAll): ActionTask | undefined {
    return 'ids' in action ? this.#endAll(action) : this.#endOf(action);
  }

  setGate(gate: GateState): void {
    const { fleet, scheduler, turns } = this.#deps;
    scheduler.run(() => {
      Object.assign(fleet.gate, gate);
      // Their callers wait for memory, or are refused.
      if (!fleet.gate.isOpen) turns.endNew();
    });
  }

  #endOf(asked: TreeAction): ActionTask | undefined {
    const { action, id, kind, isUrgent } = asked;
    const instance = [...this.#deps.fleet.instances()].find((one) => one.id === id);
    if (instance === undefined || !mayEnd(instance)) return undefined;
    const { reason } = REASONS[kind];
    const stop: ActionTask = { phase: 'ending', run: () => void instance.stop(reason, 'graceful', causeOf(asked)) };
    // A lease may have come since the sample was taken.
    if (action === 'end-idle') return instance.leases === 0 ? stop : undefined;
    return action !== 'replace' || (isUrgent && !this.#deps.replacement.canMove(instance))
      ? stop
      : this.#replacement(instance, reason, isUrgent ? URGENT_DRAIN : undefined);
  }

  #replacement(instance: PooledInstance, reason: EndReason, drain: number | undefined): ActionTask | undefined {
    const { replacement } = this.#deps;
    const { leases, retired } = instance;
    const waits = leases > 0 && !replacement.canMove(instance);
    if (replacement.isReplacing(instance, drain) || (waits && retired !== undefined)) return undefined;
    // Without its successor a shared server serves on; `server:failed` has the reason.
    const run = () => void replacement.retire([instance], reason, Infinity, drain).catch(() => {});
    return { phase: waits ? 'leaving' : 'ending', run };
  }

  /** Those that the monitor has chosen, each with the time for its graces, all of them side by side. */
  #endAll({ ids, reached }: EndAll): ActionTask | undefined {
    const byId = new Map([...this.#deps.fleet.instances()].map((one) => [one.id, one]));
    const instances = ids.flatMap((id) => byId.get(id) ?? []).filter(mayEnd);
    if (instances.length === 0) return undefined;
    const error = ({ instance }: Lease) => endedByPool(instance, 'overload', reached);
    const shutdown = new Shutdown(this.#deps, { reason: 'overload', error }, instances);
    return { phase: 'ending', run: () => void this.#deps.scheduler.run(() => shutdown.run(AT_ONCE)) };
  }
}

/** Whether its end has not begun. */
function mayEnd({ state }: PooledInstance): boolean {
  return state === 'starting' || state === 'ready';
}

/** What the errors of its leases have of it. */
function causeOf({ kind, value, limit, reached }: TreeAction): EndCause | undefined {
  const { option } = REASONS[kind];
  return option ? { option, value, limit } : reached;
}
