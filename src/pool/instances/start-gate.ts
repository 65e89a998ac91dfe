/** Why new starts wait: the servers use as much memory as they may. */
export interface MemoryShortage {
  /** Unique memory of all servers, MB. */
  readonly memoryMB: number;
  /** What they may use, MB. */
  readonly limitMB: number;
}

/** Why new starts are refused. */
export interface Overload {
  /** The level of the pool. */
  readonly level: string;
  /** What was measured, and the threshold of the level: processes beyond what is expected, or MB. */
  readonly measured: number;
  readonly threshold: number;
  readonly by: 'processes' | 'memory';
}

/**
 * Whether new instances may be started. While memory is short, those that need one wait as for a slot; while the pool is
 * overloaded, they are refused. A successor is no new instance: it takes over the slot of another. Written by the monitor, as
 * an operation, so that callers that wait are served when it opens.
 */
export class StartGate {
  shortage: MemoryShortage | undefined;
  overload: Overload | undefined;
  /** Whether nothing is started that no caller asks for: idle trees are ended just now. */
  holdsSpares = false;

  get isOpen(): boolean {
    return this.shortage === undefined && this.overload === undefined;
  }
}
