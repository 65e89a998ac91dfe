import type { AlertState } from '../../config/alert.js';

export type AlertStep =
  /** Its condition has held for long enough, or came back too often. */
  | 'fire'
  /** The host has called `acknowledge()`. */
  | 'acknowledge'
  /** It was reported as more severe than before. */
  | 'worsen'
  /** Its condition is over, or nothing is kept of it any more. */
  | 'end';

/** States × steps. A step that is not listed changes nothing. An alert that ends while it is pending was never told. */
export const TRANSITIONS: Readonly<Record<AlertState, Partial<Record<AlertStep, AlertState>>>> = {
  pending: { fire: 'firing', end: 'resolved' },
  firing: { acknowledge: 'acknowledged', end: 'resolved' },
  // What was acknowledged was less.
  acknowledged: { worsen: 'firing', end: 'resolved' },
  resolved: {},
};

/** The state after a step; undefined when the step does not apply. */
export function stateAfter(state: AlertState, step: AlertStep): AlertState | undefined {
  return TRANSITIONS[state][step];
}
