/**
 * `idle`: not asked for. `waiting`: for other steps, for a place, or until it is tried again. `starting`: its `start()` runs.
 * `started`: that has resolved, and it is not ready. `ready`: it can be used. `held`: it can be used, but a step that it depends on
 * has ended. `stopping`: it is being ended. `stopped`: it was up, or on the way, and nothing of it is left. `failed`: it could not
 * be started, or has ended by itself, and nothing of it is left. `skipped`: it was not begun, or not again. `stop-failed`: it was to be ended,
 * and it is not known whether something of it is left.
 */
export type StepState =
  | 'idle'
  | 'waiting'
  | 'starting'
  | 'started'
  | 'ready'
  | 'held'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'skipped'
  | 'stop-failed';

export type StepTransition =
  /** A start needs it. */
  | 'want'
  /** All that it waits for is there. */
  | 'begin'
  /** `start()` has resolved. */
  | 'start'
  /** It can be used. */
  | 'ready'
  /** A step that it depends on has ended by itself; is there again. */
  | 'hold'
  | 'resume'
  /** It is being ended, for whatever reason. */
  | 'end'
  /** Nothing of it is left: it is to be tried again; was to be stopped; has failed. */
  | 'again'
  | 'gone'
  | 'fail'
  /** It is not begun, or not again; or has said itself that it was not started. */
  | 'skip'
  /** It was not ended in its time, or could not be. */
  | 'lose';

/** What may become of a step that is up when nothing of it is left. */
const ENDS = { again: 'waiting', gone: 'stopped', fail: 'failed' } as const;

/** States × transitions. A transition that is not listed changes nothing: so does what comes too late. */
export const TRANSITIONS: Readonly<Record<StepState, Partial<Record<StepTransition, StepState>>>> = {
  idle: { want: 'waiting' },
  waiting: { begin: 'starting', skip: 'skipped', fail: 'failed', gone: 'stopped' },
  starting: { ...ENDS, start: 'started', skip: 'skipped', end: 'stopping' },
  started: { ...ENDS, ready: 'ready', end: 'stopping' },
  ready: { ...ENDS, hold: 'held', end: 'stopping' },
  held: { ...ENDS, resume: 'ready', end: 'stopping' },
  stopping: { ...ENDS, lose: 'stop-failed' },
  stopped: { want: 'waiting' },
  failed: { want: 'waiting' },
  skipped: { want: 'waiting' },
  // It may end later, or when it is asked to once more; until then it is not started a second time.
  'stop-failed': { end: 'stopping', gone: 'stopped' },
};

/** The state after a transition; undefined when it does not apply. */
export function stateAfter(state: StepState, transition: StepTransition): StepState | undefined {
  return TRANSITIONS[state][transition];
}

/** Whether it can be used. */
export function isUp(state: StepState): boolean {
  return state === 'ready' || state === 'held';
}

/** Whether something of it may be there. */
export function isThere(state: StepState): boolean {
  return isUp(state) || state === 'starting' || state === 'started' || state === 'stopping' || state === 'stop-failed';
}

/** Whether it does not come up, unless it is asked for again. */
export function isOver(state: StepState): boolean {
  return (
    state === 'idle' || state === 'stopped' || state === 'failed' || state === 'skipped' || state === 'stop-failed'
  );
}
