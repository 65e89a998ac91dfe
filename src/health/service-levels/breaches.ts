import type { BurningLevel } from './service-level.js';

/** So long a budget must not have burnt until its level has recovered, ms: else the level would flap where it burns now and then. */
const CALM = 300_000;

/** Which levels of one server, or of a pool, are breached. */
export class Breaches {
  /** Level → clock time at which its budget was seen to burn last. */
  readonly #burnt = new Map<BurningLevel, number>();

  get any(): boolean {
    return this.#burnt.size > 0;
  }

  /** Returns what changes by that. */
  update(now: number, level: BurningLevel, burns: boolean): 'breached' | 'recovered' | undefined {
    const last = this.#burnt.get(level);
    if (burns) {
      this.#burnt.set(level, now);
      return last === undefined ? 'breached' : undefined;
    }
    if (last === undefined || now - last < CALM) return undefined;
    this.#burnt.delete(level);
    return 'recovered';
  }
}
