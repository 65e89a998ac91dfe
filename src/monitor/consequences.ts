import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import type { Outbox } from '../runtime/outbox.js';
import type { Outcome } from './assessment.js';
import type { PoolDeed, StartRules, Told, TreeDeed } from './finding.js';
import type { MonitorEvents } from './monitor-events.js';
import type { Enforcer } from './monitored-host.js';

export type Emit = <K extends keyof MonitorEvents>(event: K, payload: MonitorEvents[K]) => void;

/** What the monitor has found and done so far. */
export interface Counts {
  /** Limits that were exceeded. */
  violations: number;
  /** What was done, dry runs not counted. */
  actions: number;
}

const NO_RULES: StartRules = { shortage: undefined, overload: undefined, holdsSpares: false };

/** What follows from samples: events, what the pool does, and calls of the host. With `dryRun` nothing but events. */
export class Consequences {
  readonly #settings: Pick<ResolvedMonitoring, 'dryRun' | 'onEmergency'>;
  readonly #outbox: Outbox | undefined;
  readonly #emit: Emit;
  /** Undefined for a monitor that is alone: it only reports. */
  #enforcer: Enforcer | undefined;
  #rules = NO_RULES;
  readonly counts: Counts = { violations: 0, actions: 0 };

  constructor(settings: Pick<ResolvedMonitoring, 'dryRun' | 'onEmergency'>, outbox: Outbox | undefined, emit: Emit) {
    this.#settings = settings;
    this.#outbox = outbox;
    this.#emit = emit;
  }

  /** From now on `enforcer` does what follows from samples. */
  connect(enforcer: Enforcer): void {
    this.#enforcer = enforcer;
  }

  /** All that follows, as one operation of the pool. */
  follow(outcome: Outcome): void {
    const enforcer = this.#enforcer;
    if (enforcer) return enforcer.run(() => this.#act(outcome, enforcer));
    this.tell(outcome);
    for (const deed of outcome.poolDeeds) this.#callHost(deed);
  }

  /** Emits what a sample shows, and no more. */
  tell({ sample, told }: Pick<Outcome, 'sample' | 'told'>): void {
    this.#emit('sample:taken', sample);
    for (const one of told) this.tellOne(one);
  }

  tellOne([event, payload]: Told): void {
    if (event === 'limit:exceeded') this.counts.violations += 1;
    if (event === 'action:taken') this.#tellAction(payload);
    else this.#emit(event, payload as never);
  }

  /** New starts are free again. */
  openGate(): void {
    this.#setRules(NO_RULES);
  }

  #act(outcome: Outcome, enforcer: Enforcer): void {
    this.tell(outcome);
    this.#setRules(outcome.startRules);
    for (const deed of outcome.treeDeeds) this.#doWithTree(deed, enforcer);
    for (const deed of outcome.poolDeeds) this.#doWithAll(deed, enforcer);
  }

  #doWithTree(deed: TreeDeed, enforcer: Enforcer): void {
    const { action, id, name, reason, level } = deed;
    const { dryRun } = this.#settings;
    this.#tellAction({ action, reason, ...(level && { level }), name, instanceId: id, dryRun });
    if (!dryRun) enforcer.carryOut(deed);
  }

  #doWithAll(deed: PoolDeed, enforcer: Enforcer): void {
    if (deed.action === 'call-host') return this.#callHost(deed);
    const { action, level, reason } = deed;
    const { dryRun } = this.#settings;
    this.#tellAction({ action, level, reason, dryRun });
    if (!dryRun) enforcer.endAll(deed);
  }

  #callHost({ action, level, reason, notice }: PoolDeed): void {
    const { dryRun, onEmergency } = this.#settings;
    if (action !== 'call-host' || onEmergency === undefined) return;
    this.#tellAction({ action, level, reason, dryRun });
    if (dryRun) return;
    const outbox = this.#outbox;
    const call = () =>
      callSafely(
        () => onEmergency(notice),
        (error) => this.#reportCall(error),
      );
    if (outbox) outbox.push(call);
    else call();
  }

  #setRules(rules: StartRules): void {
    const { shortage, overload } = rules;
    const before = this.#rules;
    this.#rules = rules;
    const { dryRun } = this.#settings;
    if (shortage && !before.shortage) {
      const reason = `all trees use ${Math.round(shortage.memoryMB)} MB of ${Math.round(shortage.limitMB)} MB`;
      this.#tellAction({ action: 'hold-starts', reason, dryRun });
    }
    if (overload && overload.level !== before.overload?.level) {
      const { level, measured, threshold, by } = overload;
      const reason = `${Math.round(measured)} ${by === 'processes' ? 'unexpected processes' : 'MB'}, where level ${level} begins at ${Math.round(threshold)}`;
      this.#tellAction({ action: 'refuse-starts', level, reason, dryRun });
    }
    if (!dryRun) this.#enforcer?.setStartRules(rules);
  }

  #tellAction(taken: MonitorEvents['action:taken']): void {
    if (!taken.dryRun) this.counts.actions += 1;
    this.#emit('action:taken', taken);
  }

  /** The host must learn that the restart of its container, for example, has failed. */
  #reportCall(error: unknown): void {
    this.#emit('listener:error', { event: 'onEmergency', error });
  }
}

/** Calls a function of the host. What it throws, or rejects with, breaks nothing. */
function callSafely(task: () => unknown, onError: (error: unknown) => void): void {
  try {
    const result = task();
    if (result instanceof Promise) result.catch(onError);
  } catch (error) {
    onError(error);
  }
}
