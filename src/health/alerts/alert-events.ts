import type { Alert, AlertKind, AlertSeverity, AlertSubject } from '../../config/alert.js';
import type { ListenerError } from '../../events.js';

/** What an event about an alert has besides the alert. */
interface Counted {
  /** How often the condition was reported since the last `alert:raised` or `alert:repeated` of this alert. */
  readonly suppressed: number;
}

/** The events of an {@link AlertManager}, with the payload of each. A pool emits them, too. */
export interface AlertEvents {
  /** A condition has held for long enough, or came back too often. Emitted once for each alert. */
  'alert:raised': Alert;
  /**
   * It goes on: `repeatInterval` has passed (`interval`), or it was reported as more severe than before (`worsened`), which also
   * takes its acknowledgement away.
   */
  'alert:repeated': Alert & Counted & { readonly reason: 'interval' | 'worsened' };
  /** A tier after the first one is told of it. `from`: how many tiers were told before; `tier`: how many are now. */
  'alert:escalated': Alert & { readonly from: number };
  /** `acknowledge()` was called. */
  'alert:acknowledged': Alert;
  /**
   * It is over. `ended`: its condition has not held for long enough. `displaced`: there are too many, and it gave way to one that
   * is more severe. `closed`: the alert manager was closed. `duration`: since it was raised, in ms. Emitted once for each alert
   * that was raised.
   */
  'alert:resolved': Alert & Counted & { readonly reason: 'ended' | 'displaced' | 'closed'; readonly duration: number };
  /**
   * There are too many conditions: this one gets no alert, or has lost it to one that is more severe. Emitted at most once a
   * minute. `dropped`: the number of reports without an alert so far.
   */
  'alert:dropped': {
    readonly kind: AlertKind;
    readonly subject: AlertSubject;
    readonly severity: AlertSeverity;
    readonly dropped: number;
  };
  /** A listener, or `notify` of a tier, threw an error or returned a promise that was rejected; or `notify` has not answered. */
  'listener:error': ListenerError;
}
