/**
 * `starting`: spawned, not usable yet. `ready`: idle or leased. `stopping`: the ladder is climbed. `quarantined`: not
 * proven dead after all attempts, so its slot stays taken. `stopped`: proven dead, or never started.
 */
export type ServerState = 'starting' | 'ready' | 'stopping' | 'quarantined' | 'stopped';

type ServerTransition =
  /** It can be used. */
  | 'ready'
  /** The operating system did not start it: nothing is there to be ended. */
  | 'refused'
  /** Whatever the reason, crash included: from here on it is being ended. */
  | 'end'
  /** Everything of it is dead. */
  | 'proven'
  /** Something of it may still live. */
  | 'unproven';

/** States × transitions. What is not listed does not happen: a late event of a stopping server changes nothing. */
const TRANSITIONS: Readonly<Record<ServerState, Partial<Record<ServerTransition, ServerState>>>> = {
  starting: { ready: 'ready', refused: 'stopped', end: 'stopping' },
  ready: { end: 'stopping' },
  stopping: { proven: 'stopped', unproven: 'quarantined' },
  quarantined: { proven: 'stopped' },
  stopped: {},
};

/** The state after `transition`, or undefined when it does not apply in `state`. */
export function nextState(state: ServerState, transition: ServerTransition): ServerState | undefined {
  return TRANSITIONS[state][transition];
}
