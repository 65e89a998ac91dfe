import type { ServerProcess } from '../process/launcher.js';
import type { Timer } from '../runtime/clock.js';
import { deferred } from '../runtime/deferred.js';
import type { Conversation } from './conversation.js';
import { nextState, type ServerState } from './server-state.js';

/** Where an instance is in its life, and what it has there: its start and its end move the same. */
export class Life {
  #state: ServerState = 'starting';
  process: ServerProcess | undefined;
  conversation: Conversation | undefined;
  startTimer: Timer | undefined;
  /** Resolved when its start has come to an end, whichever, and that was told. */
  readonly started = deferred<void>();

  get state(): ServerState {
    return this.#state;
  }

  /** False when the transition does not apply now: then nothing has changed. */
  move(transition: Parameters<typeof nextState>[1]): boolean {
    const state = nextState(this.#state, transition);
    if (state === undefined) return false;
    this.#state = state;
    return true;
  }
}
