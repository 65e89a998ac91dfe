import type { PoolErrorCode } from '../errors.js';

/** Why an instance ends. */
export type EndReason =
  /** Its process exited unexpectedly. */
  | 'crashed'
  /** It could not be started, or did not become ready in time. */
  | 'start-failed'
  /** It broke the protocol (a message too large, a closed stdin), or this library had a fault at one of its messages. */
  | 'broken'
  /** Nothing needs it any more, and it had no process yet, or served an owner that was released. */
  | 'unwanted'
  /** Its lease was released and it may not be used again: dedicated, or `reuse: 'never'`. */
  | 'released'
  /** After a request was given up it answered nothing, not even a ping (`giveUpGrace`). */
  | 'stuck'
  /** It did not answer its health checks (`health`). */
  | 'unhealthy'
  /** Its lease ended with a request that it had not answered: still open, or given up before. */
  | 'unfinished'
  /** It was idle for `idleTimeout`. */
  | 'idle'
  /** It was idle, and a caller needed its slot. */
  | 'evicted'
  /** It has served `maxUses` leases. */
  | 'max-uses'
  /** It has reached `maxLifetime`. */
  | 'max-lifetime'
  /** The changed definition allows fewer instances. */
  | 'surplus'
  /** `updateServer()` changed its definition. */
  | 'replaced'
  /** `removeServer()` was called. */
  | 'removed'
  /** `restart()` was called. */
  | 'restart'
  /** A server that it depends on has ended, is restarted, or could not be started. */
  | 'dependency'
  /** `releaseOwner()` was called. */
  | 'owner-released'
  /** `releaseTenant()` was called. */
  | 'tenant-released'
  /** It used more memory than it may (`memoryLimitMB`), or most of what all servers may (`limits.memoryLimitMB`). */
  | 'memory-limit'
  /** It used more CPU time than it may (`cpuLimitPercent`, `limits.cpuLimitPercent`). */
  | 'cpu-limit'
  /** It had more processes than it may (`maxTreeProcesses`). */
  | 'process-limit'
  /** Its memory grew without end, and it was replaced before it reached a limit (`restartOnMemoryLeak`). */
  | 'memory-leak'
  /** A level of the pool asked for it (`monitoring.levels`). */
  | 'overload'
  /** `endAll()` was called. */
  | 'end-all'
  /** `shutdown()` was called. */
  | 'shutdown';

/** What follows from an end with this reason. */
export interface EndMeaning {
  /** Whether the pool asked for it. If not, it counts as a failure: for the breaker, and for spare instances. */
  readonly asked: boolean;
  /** Whether leases may move to a successor (`onCrash: 'restart'`), and requests that are safe to repeat are sent again. */
  readonly recovers: boolean;
  /** Error code for leases that end with it; undefined where the end has an error of its own. */
  readonly leaseCode: PoolErrorCode | undefined;
  /** Whether the rest of the tree is killed at once, since it works for no caller. */
  readonly killsAtOnce: boolean;
  /** Whether the instance may be used again when its replacement could not be started. */
  readonly revocable: boolean;
}

const asked: EndMeaning = {
  asked: true,
  recovers: false,
  leaseCode: 'SERVER_STOPPED',
  killsAtOnce: false,
  revocable: false,
};
const failure: EndMeaning = { ...asked, asked: false, recovers: true, leaseCode: undefined };

/** The only place that says what each reason means. */
export const END_MEANING: Readonly<Record<EndReason, EndMeaning>> = {
  crashed: { ...failure, killsAtOnce: true },
  'start-failed': failure,
  broken: failure,
  stuck: { ...failure, killsAtOnce: true },
  unhealthy: { ...failure, killsAtOnce: true },
  unwanted: asked,
  released: asked,
  unfinished: asked,
  idle: asked,
  evicted: asked,
  'max-uses': asked,
  'max-lifetime': asked,
  surplus: asked,
  replaced: asked,
  removed: asked,
  restart: { ...asked, revocable: true },
  dependency: asked,
  'owner-released': asked,
  'tenant-released': asked,
  // The pool ends it, with time for its graces, and the next one may do better: no failure, so the breaker does not count it.
  // A server that is over its limit again and again is seen in `limit:exceeded`.
  'memory-limit': { ...asked, leaseCode: 'LIMIT_EXCEEDED', revocable: true },
  'cpu-limit': { ...asked, leaseCode: 'LIMIT_EXCEEDED', revocable: true },
  'process-limit': { ...asked, leaseCode: 'LIMIT_EXCEEDED', revocable: true },
  // It is under its limits still, so it may serve on if no other can be started.
  'memory-leak': { ...asked, revocable: true },
  overload: { ...asked, leaseCode: 'OVERLOADED' },
  'end-all': asked,
  shutdown: asked,
};

/** Failures with an event of their own: the exit of the process, or the start that failed. */
const TOLD_BY_ITSELF: ReadonlySet<EndReason> = new Set(['crashed', 'start-failed']);

/** Whether the process ran still, and the pool had to end it because it failed. */
export function wasEndedForFailure(reason: EndReason): boolean {
  return !END_MEANING[reason].asked && !TOLD_BY_ITSELF.has(reason);
}
