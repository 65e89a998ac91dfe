import type { PoolErrorCode } from '../errors.js';

/** Why an instance ends. */
export type EndReason =
  /** Its process exited unasked. */
  | 'crashed'
  /** It could not be started, or did not become ready in time. */
  | 'start-failed'
  /** It broke the protocol (a message too large, a closed stdin), or the library failed at one of its messages. */
  | 'broken'
  /** No caller waits for its start any more. */
  | 'unwanted'
  /** Its lease was released and it may not be used again: dedicated, or `reuse: 'never'`. */
  | 'released'
  /** Its lease ended while a request was open. */
  | 'unfinished'
  | 'idle'
  /** It was idle, and a caller needed its slot. */
  | 'evicted'
  | 'max-uses'
  | 'max-lifetime'
  /** More of its server run than a changed definition allows. */
  | 'surplus'
  /** Its definition was changed. */
  | 'replaced'
  | 'removed'
  | 'restart'
  | 'tenant-released'
  | 'shutdown';

/** What an end means for everything that knows the instance. */
export interface EndMeaning {
  /** Whether the pool wanted it. What it did not want counts as a failure: for the breaker, and for spare instances. */
  readonly asked: boolean;
  /** Whether leases may go on with a successor (`onCrash: 'restart'`), and what is safe to repeat may be sent again. */
  readonly recovers: boolean;
  /** The code that leases learn which end with it; undefined where the end has an error of its own. */
  readonly leaseCode: PoolErrorCode | undefined;
  /** Whether what is left of the tree is killed at once, since it works for no caller. */
  readonly killsAtOnce: boolean;
  /** Whether a lease manager may take it back into use when its replacement could not be started. */
  readonly revocable: boolean;
}

const asked: EndMeaning = {
  asked: true,
  recovers: false,
  leaseCode: 'SERVER_STOPPED',
  killsAtOnce: false,
  revocable: false,
};
const unasked: EndMeaning = { ...asked, asked: false, recovers: true, leaseCode: undefined };

/** The one table of what each reason means. */
export const END_MEANING: Readonly<Record<EndReason, EndMeaning>> = {
  crashed: { ...unasked, killsAtOnce: true },
  'start-failed': unasked,
  broken: unasked,
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
  'tenant-released': asked,
  shutdown: asked,
};
