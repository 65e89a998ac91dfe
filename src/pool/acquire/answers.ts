import { type PoolError, withFrames } from '../../errors.js';

/** In how many turns of promises a caller has learnt of its error. */
const TURNS = 5;

/**
 * What the promises of callers are resolved with, so that all learn in the order of these calls.
 *
 * The error of a call that waited shall have the frames of its caller. To keep a stack with each waiting call would cost more
 * than the call. V8 finds the frames from the promise, for an error that is made in an async function, if the promise of
 * the caller follows that of this function; that takes some turns of promises. A lease that is given out meanwhile takes as many turns.
 */
export class Answers {
  #rejecting = 0;

  /** Whether a caller is about to learn of its error. */
  get isRejecting(): boolean {
    return this.#rejecting > 0;
  }

  lease<L>(lease: L): L | Promise<L> {
    return this.#rejecting === 0 ? lease : later(lease);
  }

  error(error: PoolError): Promise<never> {
    this.#rejecting += 1;
    void this.#countTurns();
    return rejected(error);
  }

  async #countTurns(): Promise<void> {
    for (let turn = 0; turn < TURNS; turn++) await undefined;
    this.#rejecting -= 1;
  }
}

async function later<L>(lease: L): Promise<L> {
  await undefined;
  await undefined;
  return lease;
}

async function rejected(error: PoolError): Promise<never> {
  // The promise of the caller follows this one after the first turn: then V8 can find its frames.
  await undefined;
  await undefined;
  throw withFrames(error);
}
