import type { Dependency, DependencyCondition } from '../config/depends-on.js';
import { isOver, type StepState } from './step-state.js';

/** How far a step has come in its attempt. */
export type Milestone = 'none' | DependencyCondition;

const ORDER: readonly Milestone[] = ['none', 'started', 'ready', 'healthy'];

/** What an edge sees of the step at its end. */
export interface Needed {
  readonly state: StepState;
  readonly milestone: Milestone;
  /** Whether it is to be ended. */
  readonly isLeaving: boolean;
}

/** That one step depends on another. */
export class Edge<Step extends Needed = Needed> {
  readonly from: Step;
  readonly to: Step;
  readonly condition: DependencyCondition;
  readonly required: boolean;
  /** Whether it keeps its step from being started. Written by that step. */
  isMet = false;
  /** When that was so last, by the clock: since when, if it is met. */
  metAt = -Infinity;

  constructor(from: Step, to: Step, { condition, required }: Dependency) {
    this.from = from;
    this.to = to;
    this.condition = condition;
    this.required = required;
  }

  /** Whether the dependency has come far enough; one that is not required counts when it does not come, too. */
  get holds(): boolean {
    const { state, milestone, isLeaving } = this.to;
    if (!isLeaving && ORDER.indexOf(milestone) >= ORDER.indexOf(this.condition)) return true;
    return !this.required && isOver(state);
  }

  /** Whether it never will, unless it is asked for again. */
  get isBroken(): boolean {
    return this.required && isOver(this.to.state);
  }
}
