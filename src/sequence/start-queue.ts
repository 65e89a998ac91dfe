import { Heap } from '../runtime/heap.js';
import type { TrackedStep } from './tracked-step.js';

/** The steps that wait for nothing but a place. Of them the one on the longest remaining path comes first. */
export class StartQueue {
  readonly #concurrency: number;
  readonly #heap = new Heap<TrackedStep>();
  #starting = 0;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  add(step: TrackedStep): void {
    this.#heap.set(step, step.priority);
  }

  delete(step: TrackedStep): void {
    this.#heap.delete(step);
  }

  /** The next one, which takes a place; undefined when none is free, or none waits. */
  next(): TrackedStep | undefined {
    const step = this.#starting < this.#concurrency ? this.#heap.first : undefined;
    if (step === undefined) return undefined;
    this.#heap.delete(step);
    step.hasPlace = true;
    this.#starting += 1;
    return step;
  }

  /** It gives its place back: it is ready, or nothing of it is left. */
  leave(step: TrackedStep): void {
    if (!step.hasPlace) return;
    step.hasPlace = false;
    this.#starting -= 1;
  }
}
