import type { GivenUp } from '../protocol/mux/given-up.js';
import type { Clock, Timer } from '../runtime/clock.js';

export interface GiveUpWatchDeps {
  readonly clock: Clock;
  readonly givenUp: GivenUp;
  /** `giveUpGrace`, as it is now. */
  grace(): number;
  /** Sends a ping, past all limits. */
  ping(): void;
}

/**
 * Finds out whether a process is stuck, after requests were given up that it does not answer. That it leaves a cancelled
 * request without an answer says nothing: the protocol asks for that.
 */
export class GiveUpWatch {
  readonly #deps: GiveUpWatchDeps;
  #timer: Timer | undefined;
  /** Whether there was an answer or progress since the timer was set. */
  #hasResponded = false;
  #onVerdict: ((isAlive: boolean) => void) | undefined;
  #isStopped = false;

  constructor(deps: GiveUpWatchDeps) {
    this.#deps = deps;
  }

  /** Watches a process from now on whose clients go on: without any answer or progress it gets a ping. */
  watch(onStuck: () => void): void {
    const { givenUp } = this.#deps;
    const listen = () => {
      if (!givenUp.isDoubtful) return;
      if (this.#hasResponded) return this.#wait(listen);
      this.test((isAlive) => {
        if (isAlive || this.#isStopped) return;
        // It answers, only not the ping yet.
        if (this.#hasResponded) this.#wait(listen);
        else onStuck();
      });
    };
    givenUp.callbacks = {
      onGivenUp: () => {
        if (this.#timer === undefined) this.#wait(listen);
      },
      onResponse: () => this.#responded(),
    };
  }

  /** Sends a ping. @param onVerdict called once: whether it, or all that was given up, was answered in time */
  test(onVerdict: (isAlive: boolean) => void): void {
    const { clock, givenUp, ping } = this.#deps;
    givenUp.callbacks ??= { onGivenUp: () => {}, onResponse: () => this.#responded() };
    this.#onVerdict = onVerdict;
    this.#wait(() => {
      // The host may have been busy: what the process has written by now is read first.
      this.#timer = clock.after(0, () => this.#decide(false));
    });
    ping();
  }

  /** The process ends. A test under way has failed. */
  stop(): void {
    this.#isStopped = true;
    this.#deps.givenUp.callbacks = undefined;
    this.#decide(false);
  }

  #wait(then: () => void): void {
    const { clock, grace } = this.#deps;
    this.#hasResponded = false;
    this.#timer = clock.after(grace(), () => {
      this.#timer = undefined;
      then();
    });
  }

  #responded(): void {
    this.#hasResponded = true;
    if (this.#onVerdict && !this.#deps.givenUp.isDoubtful) this.#decide(true);
  }

  #decide(isAlive: boolean): void {
    const onVerdict = this.#onVerdict;
    this.#onVerdict = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    onVerdict?.(isAlive);
  }
}
