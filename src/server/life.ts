import type { ServerProcess } from '../process/launcher.js';
import type { Timer } from '../runtime/clock.js';
import { deferred } from '../runtime/deferred.js';
import type { Conversation } from './conversation.js';
import type { Readiness } from './readiness.js';
import { nextState, type ServerState } from './server-state.js';

/** Work that has to be done before the spawn of an instance. */
export interface Preparation {
  /** What it waits for, as the end of a sentence. */
  readonly what: string;
  readonly abort: AbortController;
  isDone: boolean;
}

/** The state of an instance, and what it has in it. Shared by its start and its end. */
export class Life {
  #state: ServerState = 'starting';
  process: ServerProcess | undefined;
  conversation: Conversation | undefined;
  startTimer: Timer | undefined;
  /** What comes before its spawn. Undefined for an instance that needs nothing. */
  preparation: Preparation | undefined;
  /** Set while its `readyCheck` is made. */
  readiness: Readiness | undefined;
  /** Resolved when its start has succeeded or failed, and that was reported. */
  readonly started = deferred<void>();

  get state(): ServerState {
    return this.#state;
  }

  /** Makes a transition. False when it does not apply in the current state; then nothing changes. */
  move(transition: Parameters<typeof nextState>[1]): boolean {
    const state = nextState(this.#state, transition);
    if (state === undefined) return false;
    this.#state = state;
    return true;
  }
}
