import type { GivenUpCallbacks } from '../protocol/mux/given-up.js';
import type { Clock, Timer } from '../runtime/clock.js';

export interface GiveUpWatchDeps {
  readonly clock: Clock;
  /** `giveUpGrace`, as it is now. */
  grace(): number;
  /** As `GivenUp.isDoubtful`. */
  isDoubtful(): boolean;
  /** Sends a ping, past all limits. */
  ping(): void;
  /** Called when the process answers nothing any more. */
  onStuck(): void;
}

/**
 * Finds out whether a process is stuck, after requests were given up that it does not answer. That it leaves a cancelled
 * request without an answer says nothing: the protocol asks for that.
 */
export class GiveUpWatch implements GivenUpCallbacks {
  readonly #deps: GiveUpWatchDeps;
  #timer: Timer | undefined;
  /** Whether there was an answer or progress since the timer was set. */
  #hasResponded = false;
  #onVerdict: ((isAlive: boolean) => void) | undefined;
  /** Whether the test under way is passed. */
  #isPassed: () => boolean;
  #isStopped = false;

  constructor(deps: GiveUpWatchDeps) {
    this.#deps = deps;
    this.#isPassed = this.#isAlive;
  }

  onGivenUp(): void {
    if (this.#timer === undefined && !this.#isStopped) this.#wait(this.#listen);
  }

  onResponse(): void {
    this.#hasResponded = true;
    if (this.#onVerdict && this.#isPassed()) this.#decide(true);
  }

  /** Without any answer or progress since the last request was given up, the process gets a ping. */
  readonly #listen = (): void => {
    const { isDoubtful, onStuck } = this.#deps;
    if (!isDoubtful()) return;
    if (this.#hasResponded) return this.#wait(this.#listen);
    this.test((isAlive) => {
      if (isAlive || this.#isStopped) return;
      // It answers, only not the ping yet.
      if (this.#hasResponded) this.#wait(this.#listen);
      else onStuck();
    });
  };

  readonly #isAlive = (): boolean => !this.#deps.isDoubtful();

  /**
   * Sends a ping.
   * @param onVerdict called once: whether the test was passed in time
   * @param isAlsoFit what must be true besides that the ping, or all that was given up, was answered
   */
  test(onVerdict: (isAlive: boolean) => void, isAlsoFit?: () => boolean): void {
    const { clock, ping } = this.#deps;
    this.#onVerdict = onVerdict;
    this.#isPassed = isAlsoFit ? () => this.#isAlive() && isAlsoFit() : this.#isAlive;
    this.#wait(() => {
      // The host may have been busy: what the process has written by now is read first.
      this.#timer = clock.after(0, () => this.#decide(false));
    });
    ping();
  }

  /** The process ends. A test under way has failed. */
  stop(): void {
    this.#isStopped = true;
    this.#decide(false);
  }

  #wait(then: () => void): void {
    const { clock, grace } = this.#deps;
    this.#hasResponded = false;
    // A lease may end, and its process be tested, while that is watched.
    this.#timer?.cancel();
    this.#timer = clock.after(grace(), () => {
      this.#timer = undefined;
      then();
    });
  }

  #decide(isAlive: boolean): void {
    const onVerdict = this.#onVerdict;
    this.#onVerdict = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    onVerdict?.(isAlive);
  }
}
