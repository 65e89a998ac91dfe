import type { ResolvedMonitoring } from '../config/monitoring-options.js';
import { listenerError } from '../events.js';
import type { Outbox } from '../runtime/outbox.js';
import { MOST_UNKNOWN, type Outcome } from './assessment.js';
import type { EndAll, GateState, HostCall, MonitorNotice, Overload, TreeAction } from './finding.js';
import { isAtLeast } from './level.js';
import type { MonitorEvents } from './monitor-events.js';
import type { ActionTask, Enforcer } from './monitored-host.js';

export type Emit = <K extends keyof MonitorEvents>(event: K, payload: MonitorEvents[K]) => void;

/** What the monitor has found and done so far. */
export interface Counts {
  /** Limits that were exceeded. */
  violations: number;
  /** What was done, dry runs not counted. */
  actions: number;
}

/** An action was carried out, or, with `dryRun`, reported: it brings, or would bring, its trees into this phase. */
export type Done = (action: TreeAction | EndAll, phase: ActionTask['phase']) => void;

type Settings = Pick<ResolvedMonitoring, 'dryRun' | 'onEmergency'>;

const UNKNOWN = `${MOST_UNKNOWN} samples in a row did not show what all trees use`;
const OPEN: GateState = { shortage: undefined, overload: undefined, holdsSpares: false, restingSpares: new Map() };

/** What follows from samples: events, what the pool does, and calls of the host. With `dryRun` nothing but events. */
export class Consequences {
  readonly #settings: Settings;
  readonly #outbox: Outbox | undefined;
  readonly #emit: Emit;
  readonly #done: Done;
  /** Undefined for a monitor that is alone: it only reports. */
  #enforcer: Enforcer | undefined;
  #gate = OPEN;
  readonly counts: Counts = { violations: 0, actions: 0 };

  constructor(settings: Settings, outbox: Outbox | undefined, emit: Emit, done: Done) {
    this.#settings = settings;
    this.#outbox = outbox;
    this.#emit = emit;
    this.#done = done;
  }

  /** From now on `enforcer` does what follows from samples. */
  connect(enforcer: Enforcer): void {
    this.#enforcer = enforcer;
  }

  /** Whether a host still wants anything to be done: not once its pool is shut down. */
  get mayAct(): boolean {
    return this.#enforcer?.isActive !== false;
  }

  /** All that follows, as one operation of the pool. */
  follow(outcome: Outcome): void {
    const enforcer = this.#enforcer;
    if (enforcer?.isActive) return enforcer.run(() => this.#act(outcome, enforcer));
    this.tell(outcome);
    // What is shut down is ending already, and its host knows.
    if (enforcer) return;
    for (const action of outcome.poolActions) if (action.action === 'call-host') this.#callHost(action);
  }

  /** Emits what a sample shows, and no more. */
  tell({ sample, notices }: Pick<Outcome, 'sample' | 'notices'>): void {
    this.#emit('sample:taken', sample);
    for (const notice of notices) this.tellOne(notice);
  }

  tellOne([event, payload]: MonitorNotice): void {
    if (event === 'limit:exceeded') this.counts.violations += 1;
    if (event === 'action:taken') this.#tellAction(payload);
    else this.#emit(event, payload as never);
  }

  /** New starts are free again; servers that have brought a level rest on, unless `isStopped`. @param reason in words */
  openGate(reason: string, isStopped = false): void {
    const { restingSpares } = isStopped ? OPEN : this.#gate;
    this.#setGate({ ...OPEN, restingSpares }, reason);
  }

  #act(outcome: Outcome, enforcer: Enforcer): void {
    this.tell(outcome);
    this.#setGate(outcome.gate, outcome.isUnknown ? UNKNOWN : undefined);
    for (const action of outcome.treeActions) this.#carryOut(action, enforcer);
    for (const action of outcome.poolActions) {
      if (action.action === 'call-host') this.#callHost(action);
      else this.#carryOut(action, enforcer);
    }
  }

  /** What cannot be done any more is not reported either. */
  #carryOut(given: TreeAction | EndAll, enforcer: Enforcer): void {
    const task = enforcer.taskOf(given);
    if (task === undefined) return;
    const { dryRun } = this.#settings;
    const { action, reason, reached } = given;
    const level = reached && { level: reached.level };
    const tree = 'id' in given ? { name: given.name, instanceId: given.id } : {};
    this.#tellAction({ action, reason, ...level, ...tree, dryRun });
    if (!dryRun) task.run();
    this.#done(given, task.phase);
  }

  #callHost({ action, reason, reached }: HostCall): void {
    const { dryRun, onEmergency } = this.#settings;
    if (onEmergency === undefined) return;
    this.#tellAction({ action, level: reached.level, reason, dryRun });
    if (dryRun) return;
    const call = () =>
      callSafely(
        () => onEmergency(reached),
        (error) => this.#reportCall(error),
      );
    if (this.#outbox) this.#outbox.push(call);
    else call();
  }

  /** @param freed why starts are free, if they are from now on. Default: what has held them is over */
  #setGate(gate: GateState, freed?: string): void {
    const { shortage, overload } = gate;
    const before = this.#gate;
    this.#gate = gate;
    const { dryRun } = this.#settings;
    if (shortage && !before.shortage) {
      const reason = `all trees use ${Math.round(shortage.memoryMB)} MB of ${Math.round(shortage.limitMB)} MB`;
      this.#tellAction({ action: 'hold-starts', reason, dryRun });
    }
    // When the level falls, they were refused before.
    if (overload && (!before.overload || !isAtLeast(before.overload.level, overload.level))) {
      this.#tellAction({ action: 'refuse-starts', level: overload.level, reason: refusedFor(overload), dryRun });
    }
    if (isShut(before) && !isShut(gate)) {
      this.#tellAction({ action: 'free-starts', reason: freed ?? freedFrom(before), dryRun });
    }
    if (!dryRun) this.#enforcer?.setGate(gate);
  }

  #tellAction(taken: MonitorEvents['action:taken']): void {
    if (!taken.dryRun) this.counts.actions += 1;
    this.#emit('action:taken', taken);
  }

  /** The host must learn that the restart of its container, for example, has failed. */
  #reportCall(error: unknown): void {
    this.#emit('listener:error', listenerError('onEmergency', error));
  }
}

function isShut({ shortage, overload }: GateState): boolean {
  return shortage !== undefined || overload !== undefined;
}

function refusedFor({ level, measured, threshold, by, cooldownLeft }: Overload): string {
  const what = by === 'processes' ? 'unexpected processes' : 'MB';
  const figures = `${Math.round(measured)} ${what}, where level ${level} begins at ${Math.round(threshold)}`;
  return cooldownLeft === undefined ? figures : `${figures}: it is not over before its cooldown`;
}

function freedFrom({ shortage, overload }: GateState): string {
  const memory = shortage && `all trees use less than ${Math.round(shortage.limitMB)} MB`;
  return [memory, overload && `level ${overload.level} is over`].filter((part) => part !== undefined).join(', and ');
}

/** Calls a function of the host. What it throws, or rejects with, breaks nothing. */
function callSafely(task: () => unknown, onError: (error: unknown) => void): void {
  try {
    // Also what is no promise of this realm, or of this class, may reject.
    Promise.resolve(task()).catch(onError);
  } catch (error) {
    onError(error);
  }
}
