import { Histogram } from './histogram.js';

/**
 * Times that were not told to the series of their servers yet: one record for each, since there are many. They are taken after a
 * minute at the latest, so there are no more servers than have had one within it.
 */
export class FreshTimes {
  /** By server; undefined: known for the pool only. */
  readonly #times = new Map<string | undefined, Histogram>();

  record(name: string | undefined, ms: number, times = 1): void {
    let fresh = this.#times.get(name);
    if (fresh === undefined) {
      fresh = new Histogram();
      this.#times.set(name, fresh);
    }
    fresh.record(ms, times);
  }

  /** All of them; from now on there are none. */
  take(): (readonly [name: string | undefined, times: Histogram])[] {
    const taken = [...this.#times];
    this.#times.clear();
    return taken;
  }
}
