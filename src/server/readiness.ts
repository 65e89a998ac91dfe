import type { OwnCheck } from '../config/health-options.js';
import { messageOf } from '../errors.js';
import { type CheckWay, wayOf } from '../health/check-way.js';
import type { Clock, Timer } from '../runtime/clock.js';
import { type Asked, requestOf } from './asked.js';

/** Time between two attempts, ms. */
const PAUSE = 250;
/** Longest attempt, ms: one that hangs must not use up the whole `startTimeout`. */
const LONGEST = 5_000;

/** Makes the `readyCheck` of a server that starts, again and again until it passes. */
export class Readiness {
  readonly #way: CheckWay;
  readonly #clock: Clock;
  readonly #onReady: () => void;
  #timer: Timer | undefined;
  #attempt: AbortController | undefined;
  #isStopped = false;
  /** Why the last attempt has failed. */
  lastFailure = 'it has not ended yet';

  constructor(server: Asked, check: OwnCheck, clock: Clock, onReady: () => void) {
    this.#way = wayOf(check, { name: server.name, instanceId: server.id, request: requestOf(server) });
    this.#clock = clock;
    this.#onReady = onReady;
    void this.#try();
  }

  /** The server has ended, or is ready. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#attempt?.abort();
  }

  async #try(): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#timer = this.#clock.after(LONGEST, () => attempt.abort(new Error(`no answer within ${LONGEST} ms`)));
    try {
      await this.#way.ask(attempt.signal);
    } catch (error) {
      if (this.#isStopped) return;
      this.lastFailure = messageOf(attempt.signal.aborted ? attempt.signal.reason : error);
      this.#timer?.cancel();
      this.#timer = this.#clock.after(PAUSE, () => void this.#try());
      return;
    }
    if (this.#isStopped) return;
    this.stop();
    this.#onReady();
  }
}
