import type { StuckEvent } from '../../health/health-events.js';
import { HealthMonitor, roundsOf } from '../../health/health-monitor.js';
import type { HealthRounds } from '../../health/health-rounds.js';
import type { HealthStatus } from '../../health/health-status.js';
import type { ProbedState } from '../../health/probe-verdict.js';
import type { Health } from '../../health/verdict.js';
import type { Clock, Timer } from '../../runtime/clock.js';
import type { Outbox } from '../../runtime/outbox.js';
import type { Fleet } from '../instances/fleet.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { LeaseManager } from '../leases/lease-manager.js';
import type { Breakers } from '../supervision/breakers.js';
import { CheckedInstance } from './checked-instance.js';
import { probedPool } from './probed-pool.js';
import { StuckWatch } from './stuck-watch.js';

export interface PoolHealthDeps {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly fleet: Fleet;
  readonly leases: LeaseManager;
  readonly breakers: Breakers;
  /** Hears every 30 s of what `stuck:detected` has told before, and is stuck still. */
  readonly onStillStuck: (stuck: StuckEvent) => void;
  /** Why the machine has no time for its processes. Default: by its load. */
  readonly overload?: (() => string | undefined) | undefined;
}

/** Time between two looks for what is stuck, ms. */
const STUCK_INTERVAL = 30_000;

/** Has the instances of a pool checked while they are ready, and restarts what does not answer. */
export class PoolHealth {
  readonly monitor: HealthMonitor;
  readonly #deps: PoolHealthDeps;
  readonly #rounds: HealthRounds;
  readonly #stuck: StuckWatch;
  readonly #checked = new Map<string, PooledInstance>();
  #timer: Timer | undefined;

  constructor(deps: PoolHealthDeps) {
    const { clock, outbox, overload } = deps;
    this.#deps = deps;
    this.#stuck = new StuckWatch(deps.leases, deps.onStillStuck);
    this.monitor = new HealthMonitor({
      ...{ clock, outbox, ...(overload && { overload }) },
      onRestart: ({ id }, health) => this.#restart(id, health),
      probed: (): ProbedState => probedPool(deps, (id) => this.statusOf(id)),
    });
    this.#rounds = roundsOf(this.monitor);
  }

  statusOf(instanceId: string): HealthStatus | undefined {
    return this.#rounds.statusOf(instanceId);
  }

  /** A process was spawned. */
  spawned(instance: PooledInstance): void {
    if (instance.definition.health.stuckAfter === Infinity) return;
    this.#stuck.begun(instance, 'start', this.#deps.clock.now());
    this.#wait();
  }

  /** It can be used. */
  ready(instance: PooledInstance): void {
    this.#stuck.over(instance);
    if (instance.definition.health.check === false) return;
    this.#checked.set(instance.id, instance);
    this.#rounds.add(new CheckedInstance(instance, this.#deps.clock));
  }

  /** Another policy holds for these: their checks may have been switched on or off. */
  redefined(instances: Iterable<PooledInstance>): void {
    for (const instance of instances) {
      const isOn = instance.definition.health.check !== false;
      if (!isOn) this.#uncheck(instance);
      else if (this.#checked.has(instance.id)) this.#rounds.redefined(instance.id);
      else if (instance.state === 'ready') this.ready(instance);
      if (instance.definition.health.stuckAfter < Infinity) this.#wait();
    }
  }

  /** Its end begins. */
  ending(instance: PooledInstance): void {
    this.#stuck.begun(instance, 'cleanup', this.#deps.clock.now());
    this.#rounds.remove(instance.id);
    this.#checked.delete(instance.id);
  }

  /** It lives on. */
  #uncheck({ id }: PooledInstance): void {
    this.#rounds.forget(id);
    this.#checked.delete(id);
  }

  /** The pool is closed: no timer is left. */
  stop(): void {
    this.monitor.close();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #wait(): void {
    this.#timer ??= this.#deps.clock.after(STUCK_INTERVAL, () => this.#look());
  }

  #look(): void {
    const { clock, fleet } = this.#deps;
    this.#timer = undefined;
    const living = [...fleet.instances()];
    for (const stuck of this.#stuck.look(living, clock.now())) this.monitor.emit('stuck:detected', stuck);
    if (living.length > 0) this.#wait();
  }

  /** One that may not be restarted now is asked for again after its next check. */
  #restart(id: string, { reason }: Health): void {
    const instance = this.#checked.get(id);
    if (instance === undefined || instance.state !== 'ready' || !this.#deps.fleet.isOpen) return;
    const { onUnhealthy, maxUnavailablePercent } = instance.definition.health;
    if (onUnhealthy === 'report') return;
    const all = [...this.#deps.fleet.instances()].filter(({ name }) => name === instance.name);
    const most = Math.max(1, Math.floor((all.length * maxUnavailablePercent) / 100));
    if (all.filter(isRestarting).length >= most) return;
    instance.unhealthy(reason);
  }
}

/** Whether it cannot be used because it, or the one before it, was unhealthy. */
function isRestarting({ state, endReason, hasPredecessor }: PooledInstance): boolean {
  const isEnding = state === 'stopping' || state === 'quarantined';
  return (isEnding && endReason === 'unhealthy') || (state === 'starting' && hasPredecessor);
}
