import { BoundedMap } from '../../runtime/bounded-map.js';
import type { Earlier } from './condition.js';

/** How long a condition that is over is remembered, ms. */
const MEMORY = 3_600_000;
/** Of more conditions those that have ended last are remembered. */
const MOST = 1_000;

/** What is remembered of a condition that is over. */
export interface PastCondition extends Earlier {
  /** How long it had to be over before its alert was resolved, ms. */
  readonly quiet: number;
  /** Whether it was an alert. */
  readonly wasRaised: boolean;
}

/** The conditions of the last hour that are over, so that one which comes and goes is known as that. */
export class PastConditions {
  readonly #past = new BoundedMap<PastCondition>(MOST);

  remember(key: string, past: PastCondition): void {
    this.#past.set(key, past);
  }

  /** What is remembered of a condition that begins again. */
  recall(key: string, now: number): PastCondition | undefined {
    const past = this.#past.get(key);
    return past && now - past.endedAt <= MEMORY ? past : undefined;
  }
}
