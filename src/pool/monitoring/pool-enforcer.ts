import type { PoolDeed, StartRules, TreeDeed } from '../../monitor/finding.js';
import type { Enforcer } from '../../monitor/monitored-host.js';
import type { Clock } from '../../runtime/clock.js';
import type { DueTimes } from '../../runtime/due-times.js';
import { type EndCause, type ExceededLimit, endedByPool } from '../../server/end-cause.js';
import type { EndReason } from '../../server/end-reason.js';
import type { Operations } from '../../server/instance-context.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
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
const REASONS: Readonly<Record<TreeDeed['kind'], { reason: EndReason; option?: ExceededLimit['option'] }>> = {
  memory: { reason: 'memory-limit', option: 'memoryLimitMB' },
  cpu: { reason: 'cpu-limit', option: 'cpuLimitPercent' },
  processes: { reason: 'process-limit', option: 'maxTreeProcesses' },
  'total-memory': { reason: 'memory-limit', option: 'limits.memoryLimitMB' },
  'total-cpu': { reason: 'cpu-limit', option: 'limits.cpuLimitPercent' },
  'host-memory': { reason: 'memory-limit' },
  folder: { reason: 'overload' },
  leak: { reason: 'memory-leak' },
  level: { reason: 'overload' },
};

/** Requests in flight get no time: the level says that the host is in danger. */
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

  carryOut(deed: TreeDeed): void {
    const instance = this.#find(deed.id);
    if (instance === undefined) return;
    const { reason } = REASONS[deed.kind];
    if (deed.action !== 'replace') {
      // A lease may have come since the sample was taken.
      if (deed.action !== 'end-idle' || instance.leases === 0) void instance.stop(reason, 'graceful', causeOf(deed));
    } else if (deed.isUrgent && !this.#deps.replacement.canMove(instance)) {
      void instance.stop(reason, 'graceful', causeOf(deed));
    } else {
      // A shared server whose successor cannot be started serves on; `server:failed` says why.
      this.#deps.replacement.retire([instance], reason, Infinity).catch(() => {});
    }
  }

  endAll({ notice }: PoolDeed): void {
    const { level, measured, threshold, by } = notice;
    const cause = { level, measured, threshold, by };
    const everything = new Shutdown(this.#deps, {
      reason: 'overload',
      error: ({ instance }) => endedByPool(instance, 'overload', cause),
    });
    void this.#deps.scheduler.run(() => everything.run(AT_ONCE));
  }

  setStartRules(rules: StartRules): void {
    const { fleet, scheduler, turns } = this.#deps;
    scheduler.run(() => {
      Object.assign(fleet.gate, rules);
      if (fleet.gate.isOpen) return;
      // Those that wait for their turn have not begun: their callers wait for memory, or are refused. A successor goes on.
      const waiting = [...fleet.instances()].filter((one) => turns.isWaiting(one) && !one.hasPredecessor);
      for (const instance of waiting) void instance.stop('unwanted');
    });
  }

  #find(id: string): PooledInstance | undefined {
    for (const instance of this.#deps.fleet.instances()) if (instance.id === id) return instance;
    return undefined;
  }
}

/** What the leases of the tree learn of it. */
function causeOf({ kind, value, limit, level, by = 'processes' }: TreeDeed): EndCause | undefined {
  const { option } = REASONS[kind];
  if (option) return { option, value, limit };
  return level && { level, measured: value, threshold: limit, by };
}
