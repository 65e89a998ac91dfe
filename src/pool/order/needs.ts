import type { Dependency } from '../../config/depends-on.js';
import type { SequenceManager } from '../../sequence/sequence-manager.js';
import type { StepState } from '../../sequence/step-state.js';
import type { OpenEntry } from '../instances/server-entry.js';
import type { PoolStep } from './pool-step.js';
import type { StepSet } from './step-set.js';
import type { NeedsDeps, StepNeeds } from './step-surroundings.js';

/** Which servers of one tenant are needed now, and by which others. */
export class Needs implements StepNeeds {
  readonly #steps: StepSet;
  readonly #manager: SequenceManager;
  readonly #deps: NeedsDeps;

  constructor(steps: StepSet, manager: SequenceManager, deps: NeedsDeps) {
    this.#steps = steps;
    this.#manager = manager;
    this.#deps = deps;
  }

  /** Whether a step is there, or comes. */
  isActive(name: string): boolean {
    return this.#steps.has(name) && isActive(this.#manager.stateOf(name));
  }

  isNeeded(name: string): boolean {
    return this.#steps.dependentsOf(name).some((dependent) => this.isActive(dependent.name));
  }

  /** The names of all that are needed. */
  names(): ReadonlySet<string> {
    const active = [...this.#steps].filter(({ name }) => this.isActive(name));
    const dependencies = ({ name, definition }: PoolStep) => [
      ...definition.dependencies,
      ...this.#steps.dependenciesOf(name),
    ];
    return new Set(active.flatMap(dependencies).map(({ id }) => id));
  }

  patience(name: string): number {
    const isOn = ({ id, required }: Dependency) => id === name && required;
    const dependents = this.#steps.dependentsOf(name);
    // Those that need it have their own deadlines.
    const isNeeded = dependents.some(
      (step) => this.isActive(step.name) && this.#steps.dependenciesOf(step.name).some(isOn),
    );
    return isNeeded || dependents.length === 0 ? Infinity : this.#deps.acquireTimeout;
  }

  hasSlotFor(entry: OpenEntry): boolean {
    const { fleet } = this.#deps;
    if (!fleet.hasSlot(entry)) return false;
    const free = fleet.slots.limit - fleet.slots.used;
    if (free >= this.#steps.size) return true;
    const needed = this.names();
    const owed = [...this.#steps].filter(
      (step) => step.lacksSlot || (needed.has(step.name) && this.#manager.stateOf(step.name) === 'waiting'),
    );
    // The one that asks is one of them.
    return free >= owed.length;
  }
}

export function isActive(state: StepState): boolean {
  return (
    state !== 'idle' && state !== 'stopped' && state !== 'failed' && state !== 'skipped' && state !== 'stop-failed'
  );
}
