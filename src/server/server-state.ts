/**
 * `starting`: being started, not usable yet. `ready`: idle or leased. `stopping`: being ended. `quarantined`: not proven dead
 * after all attempts, so it keeps its slot. `stopped`: proven dead, or never started.
 */
export type ServerState = 'starting' | 'ready' | 'stopping' | 'quarantined' | 'stopped';

type ServerTransition =
  /** It can be used. */
  | 'ready'
  /** The operating system did not start it: there is nothing to end. */
  | 'refused'
  /** It is being ended, for whatever reason, a crash included. */
  | 'end'
  /** All its processes are proven dead. */
  | 'proven'
  /** A process of it may still live. */
  | 'unproven';

/** States × transitions. A transition that is not listed changes nothing: so does a late event of a stopping server. */
export const TRANSITIONS: Readonly<Record<ServerState, Partial<Record<ServerTransition, ServerState>>>> = {
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
