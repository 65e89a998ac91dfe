import type { StepWait } from './step-report.js';

/** When a step did what, and what it has waited for. It is fed clock times, in ms. */
export class StepTimes {
  /** How often it was begun, since it was asked for. */
  attempts = 0;
  /** Since when it waits; since when for nothing but a place. */
  waitingSince = 0;
  freeSince = 0;
  readonly #waits = new Map<string, { on: StepWait['on']; id: string | undefined; duration: number }>();
  /** Of what its duration says: from its first attempt until it was ready or gone; of a stop, how long that took. */
  #from = 0;
  #to: number | undefined;
  /** Whether its next attempt is no further one of those before. */
  #isFresh = true;
  #readyAt: number | undefined;

  /** It is asked for. */
  reset(): void {
    this.attempts = 0;
    this.#waits.clear();
    this.#isFresh = true;
  }

  /** It begins to wait. */
  wait(now: number): void {
    this.waitingSince = now;
    this.freeSince = now;
    this.#to = undefined;
    if (this.#readyAt !== undefined) this.#isFresh = true;
    this.#readyAt = undefined;
  }

  /** It has one thing less to wait for. @param since since when it had to */
  freed(on: StepWait['on'], since: number, now: number, id?: string): void {
    this.freeSince = now;
    this.#waited(on, now - Math.max(since, this.waitingSince), id);
  }

  /** It waits for nothing any more. */
  begin(now: number): void {
    this.#waited('place', now - this.freeSince);
    if (this.#isFresh) this.#from = now;
    this.#isFresh = false;
    this.attempts += 1;
  }

  /** It can be used. One that was held was ready before. */
  arrive(now: number): void {
    this.#readyAt ??= now;
    this.#to = this.#readyAt;
  }

  /** It is stopped, which is measured anew. */
  goDown(now: number): void {
    this.#from = now;
    this.#to = undefined;
  }

  /** Nothing is under way with it any more. */
  end(now: number): void {
    this.#to = now;
  }

  /** For how long it has been ready. */
  uptime(now: number): number {
    return now - (this.#readyAt ?? now);
  }

  duration(now: number): number {
    return this.attempts === 0 ? 0 : Math.round((this.#to ?? now) - this.#from);
  }

  waitedFor(): StepWait[] {
    return [...this.#waits.values()].map((wait) => ({ ...wait, duration: Math.round(wait.duration) }));
  }

  /** One entry for each thing: however often it is tried again, there are no more. */
  #waited(on: StepWait['on'], duration: number, id?: string): void {
    if (duration <= 0) return;
    const key = `${on} ${id ?? ''}`;
    const wait = this.#waits.get(key) ?? { on, id, duration: 0 };
    wait.duration += duration;
    this.#waits.set(key, wait);
  }
}
