import type { ListenerError } from '../../events.js';
import type { QueuePlace } from './lane-lock.js';
import type { RunResult } from './lane-run.js';
import type { LeftTree } from './leftovers.js';

/** What an event of a lane has besides what it is about. `command`: without its arguments, which may be secret. */
interface OfCommand {
  readonly lane: string;
  readonly command: string;
}

/** The events of a `SequentialExecutor`, with the payload of each. */
export interface LaneEvents {
  /** A call of `run()` has to wait, or its place or the holder has changed. */
  'lane:waiting': OfCommand & QueuePlace;
  /** Its command has been started. `waited`: ms. */
  'lane:started': OfCommand & { readonly pid: number | undefined; readonly waited: number };
  /** The command has neither written anything nor used CPU time for `idle` ms. Once for each stall. */
  'lane:stalled': OfCommand & { readonly pid: number | undefined; readonly idle: number };
  /** Its whole tree is dead, or has survivors. All of the result, but what the command wrote. */
  'lane:ended': OfCommand & { readonly pid: number | undefined } & Omit<RunResult, 'stdout' | 'stderr' | 'truncated'>;
  /**
   * An earlier holder had died, or left survivors: what was left of its tree has been ended. With `survivors` it lives on, and the
   * call waits for its end.
   */
  'lane:reaped': { readonly lane: string } & LeftTree;
  /** A listener, `onWaiting` or `onStart` threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}
