/** What an alert can be about. */
export const ALERT_KINDS = [
  /** More processes than allowed, or callers that get no server. */
  'process-limit',
  /** Memory of all servers, or of the machine, is near its end. */
  'memory-pressure',
  /** A server ended by itself, or could not be started. */
  'process-failure',
  /** A server does not answer. */
  'unresponsive',
  /** A server, all of them, or a folder use more than they may. */
  'resource-violation',
  /** Processes of a server could not be proven dead. */
  'cleanup-failure',
  /** Memory that grows and does not come back, or a lease that is not given back. */
  'leak',
  /** A request, a lease, a start or the end of a server does not end. */
  'stuck',
  /** A server failed too often, and is not started. */
  'breaker-open',
  /** The number of processes grows without reason. */
  'explosion',
  /** A service level is not reached. */
  'service-level',
] as const;

/** What an alert is about. */
export type AlertKind = (typeof ALERT_KINDS)[number];

/** The least severe stands first. */
export const ALERT_SEVERITIES = ['info', 'warning', 'critical'] as const;

/** How much it matters. `info`: no tier is told. */
export type AlertSeverity = (typeof ALERT_SEVERITIES)[number];

/**
 * `pending`: the condition does not hold for long enough yet. `firing`: it was raised. `acknowledged`: it is being worked on.
 * `resolved`: it is over.
 */
export type AlertState = 'pending' | 'firing' | 'acknowledged' | 'resolved';

/** What has the condition: a server, or, without a name, the whole pool. */
export interface AlertSubject {
  /** Of the server. */
  readonly name?: string | undefined;
  /** A part that has alerts of its own: one of several limits, a folder, a service level. An alert with it is not pool-wide. */
  readonly part?: string | undefined;
}

/** A figure of an alert. */
export type AlertFigure = string | number | boolean | null | readonly (string | number)[];

/** A tier that could not be told of an alert yet. */
export interface UndeliveredAlert {
  /** The first is 1. */
  readonly tier: number;
  /** Calls of `notify` that have failed. */
  readonly attempts: number;
  /** The message of the last failure: at most 300 characters, addresses without their paths, which may be secret. */
  readonly error: string;
}

/** An alert, at one moment. It can be written as JSON. */
export interface Alert {
  /** `alert-<timestamp>-<sequence>`: another one when the condition comes back after it was resolved. */
  readonly id: string;
  /** What is wrong: the condition that was reported. */
  readonly kind: AlertKind;
  /** What has it: a server, a part of the host; empty for the whole pool. */
  readonly subject: AlertSubject;
  /** The highest that was reported since it began. */
  readonly severity: AlertSeverity;
  readonly state: AlertState;
  /** What is wrong, as reported last. */
  readonly message: string;
  /** What to do about it; empty when that is not known. */
  readonly action: string;
  /** Figures, as reported last. */
  readonly data: Readonly<Record<string, AlertFigure>>;
  /** What has the condition now: instances of the server, leases, or, of failures and breakers, tenants; the first 10. */
  readonly sources: readonly string[];
  /** When it began, in ms since 1970. */
  readonly since: number;
  /** How often it was reported since then. */
  readonly count: number;
  /** How many tiers were told of it. */
  readonly tier: number;
  /** Undefined: it is not acknowledged. */
  readonly acknowledgedBy: string | undefined;
  /** False: the condition is over, and the alert is resolved if it does not come back. */
  readonly holds: boolean;
  /** Whether an alert of the whole pool keeps it silent. */
  readonly inhibited: boolean;
  /** The calls of `notify` that have failed, or got no answer. */
  readonly undelivered: readonly UndeliveredAlert[];
}

/** What a tier is told. */
export interface AlertNotification {
  /**
   * `raised`: the first tier learns of it. `escalated`: so does a further one. `repeated`: it goes on, or is more severe now.
   * The last one of an alert is `resolved`: its condition is over; `closed`: the pool is shut down; or `displaced`: there are
   * too many alerts, and it gave way to one that is more severe. After the latter two it is not known whether it is over.
   */
  readonly reason: 'raised' | 'escalated' | 'repeated' | 'resolved' | 'closed' | 'displaced';
  /** Which tier is told: the first is 1. */
  readonly tier: number;
  /** As it was when there was a reason to tell it. */
  readonly alert: Alert;
  /** How often the condition was reported since the last event about it. */
  readonly suppressed: number;
}

/** How severe it is, to be compared. */
export function severityRank(severity: AlertSeverity): number {
  return ALERT_SEVERITIES.indexOf(severity);
}
