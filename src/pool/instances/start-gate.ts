import type { GateState, Overload, Shortage } from '../../monitor/finding.js';
import { DependencyGate } from './dependency-gate.js';
import type { StartPreflight } from './start-preflight.js';

/**
 * Whether new instances may be started. While memory is short, those that need one wait as for a slot; while the pool is
 * overloaded, they are refused. A successor is no new instance: it takes over the slot of another. Written by the monitor, as
 * an operation, so that callers that wait are served when it opens. What `limits.requires` asks for is looked at on demand.
 */
export class StartGate implements GateState {
  shortage: Shortage | undefined;
  overload: Overload | undefined;
  /** Whether nothing is started that no caller asks for: idle trees are ended just now. */
  holdsSpares = false;
  /** By server: until when (clock time) the same counts for it alone. */
  restingSpares: GateState['restingSpares'] = new Map();
  readonly preflight: StartPreflight;
  readonly dependencies = new DependencyGate();

  constructor(preflight: StartPreflight) {
    this.preflight = preflight;
  }

  get isOpen(): boolean {
    return this.shortage === undefined && this.overload === undefined;
  }
}
