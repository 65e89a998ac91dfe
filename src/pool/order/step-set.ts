import { isDeepStrictEqual } from 'node:util';
import type { Dependency } from '../../config/depends-on.js';
import type { ResolvedDefinition } from '../../config/options.js';
import { reachable } from '../../runtime/graph.js';
import type { Fleet } from '../instances/fleet.js';
import type { PoolStep } from './pool-step.js';

/** The steps of one tenant by name, and which of them depend on which. */
export class StepSet {
  readonly #fleet: Fleet;
  readonly #steps = new Map<string, PoolStep>();
  /** By the name of what they depend on; undefined after a change. */
  #dependents: Map<string, PoolStep[]> | undefined;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  [Symbol.iterator](): Iterator<PoolStep> {
    return this.#steps.values();
  }

  get size(): number {
    return this.#steps.size;
  }

  has(name: string): boolean {
    return this.#steps.has(name);
  }

  get(name: string): PoolStep | undefined {
    return this.#steps.get(name);
  }

  add(step: PoolStep): void {
    this.#steps.set(step.name, step);
    this.#dependents = undefined;
  }

  /** A definition has changed. */
  redefined(): void {
    this.#dependents = undefined;
  }

  /** The definitions of these servers, and of all that they depend on, that have no step. */
  missing(names: readonly string[]): ResolvedDefinition[] {
    const all = reachable(names, (name) => this.dependenciesOf(name).map(({ id }) => id));
    return [...all].flatMap((name) => (this.has(name) ? [] : (this.#fleet.entries.get(name)?.definition ?? [])));
  }

  /** What a server depends on by its definition of now. */
  dependenciesOf(name: string): readonly Dependency[] {
    return this.#fleet.entries.get(name)?.definition?.dependencies ?? [];
  }

  /** What depends on it: by the definition of now, or by that with which its step was made. */
  dependentsOf(name: string): readonly PoolStep[] {
    this.#dependents ??= this.#findDependents();
    return this.#dependents.get(name) ?? [];
  }

  /** Names of the servers that one cannot do without, itself included. */
  neededBy(name: string): string[] {
    const needs = (one: string) => this.dependenciesOf(one).flatMap(({ id, required }) => (required ? id : []));
    return [...reachable([name], needs)].filter((one) => this.has(one));
  }

  /** Whether the definition of now says something else about the order than that of a step. */
  isOutdated(name: string): boolean {
    const step = this.#steps.get(name);
    const now = this.#fleet.entries.get(name)?.definition;
    return step !== undefined && (now === undefined || !isDeepStrictEqual(orderOf(step.definition), orderOf(now)));
  }

  #findDependents(): Map<string, PoolStep[]> {
    const found = new Map<string, PoolStep[]>();
    for (const step of this) {
      const all = [...step.definition.dependencies, ...this.dependenciesOf(step.name)];
      for (const id of new Set(all.map((one) => one.id))) {
        const dependents = found.get(id);
        if (dependents) dependents.push(step);
        else found.set(id, [step]);
      }
    }
    return found;
  }

  /** Whether instances live of a server that was removed. */
  get hasOldInstances(): boolean {
    return [...this].some(({ isUsed, name }) => isUsed && this.#fleet.entries.get(name)?.definition === undefined);
  }
}

function orderOf({ dependencies, required, onDependencyExit, sharing, onCrash }: ResolvedDefinition) {
  return { dependencies, required, onDependencyExit, sharing, onCrash };
}
