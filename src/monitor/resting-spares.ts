import { BoundedMap } from '../runtime/bounded-map.js';
import { GrowingPause } from './growing-pause.js';

/** Most servers that are known. */
const MOST = 1_000;

/**
 * The servers that have brought a level, and of which trees were ended for it. A spare one (`minIdle`) would do the same again,
 * so it is not started for a pause that grows. It is fed clock times.
 */
export class RestingSpares {
  readonly #firstPause: number;
  /** By server. */
  readonly #pauses = new BoundedMap<GrowingPause>(MOST);

  /** @param firstPause ms; longer than a level lasts after it was reached */
  constructor(firstPause: number) {
    this.#firstPause = firstPause;
  }

  /** By server: until when its spare ones rest, in clock time. That may be over. */
  get pauses(): ReadonlyMap<string, { readonly until: number }> {
    return this.#pauses;
  }

  /** Trees of this server were ended. While it rests this is no other attempt. */
  ended(at: number, name: string): void {
    const pause = this.#pauses.get(name) ?? new GrowingPause(this.#firstPause);
    if (pause.isOn(at)) return;
    pause.begin(at);
    this.#pauses.set(name, pause);
  }

  /** Its definition has changed: the next one is another. */
  forget(name: string): void {
    this.#pauses.delete(name);
  }
}
