import type { AlertKind, AlertSeverity, AlertState } from '../../config/alert.js';
import type { ResolvedAlerts } from '../../config/alert-options.js';

/** What decides which tiers are told. Clock times, in ms. */
export interface Escalating {
  readonly kind: AlertKind;
  readonly severity: AlertSeverity;
  readonly state: AlertState;
  /** When the condition began, the last time. */
  readonly heldSince: number;
  /** When it began, each of the last times. */
  readonly onsets: readonly number[];
  /** Since when it is to be acknowledged. */
  readonly openSince: number;
  /** Since when a trigger has applied; undefined: none has. */
  readonly triggeredSince: number | undefined;
  /** How many tiers were told. */
  readonly tier: number;
}

/**
 * Has tiers told up to `tier` (the first is 1), whatever their `after`; and raises an alert, whatever `for` is. It applies when the
 * condition has held for `held` ms, or has begun `onsets` times within ten minutes. `of`: only for alerts of this severity.
 */
type Trigger = { readonly tier: number; readonly of?: AlertSeverity } & (
  | { readonly held: number; readonly onsets?: undefined }
  | { readonly onsets: number }
);

/** The time in which onsets count, ms. */
const WITHIN = 600_000;
/** So long after a trigger has applied the second tier is told, if the condition holds on, ms. */
const WITHOUT_SUCCESS = 900_000;

/** A limit that is exceeded a second time was not kept by what was done at the first. */
const TWICE: Trigger = { tier: 1, onsets: 2 };
/** What is exhausted again and again needs another one than the first tier. */
const AGAIN_AND_AGAIN: Trigger = { tier: 2, onsets: 3 };

/** The only place that says which conditions are not left to time. Source: issue 12. */
const TRIGGERS: Readonly<Record<AlertKind, readonly Trigger[]>> = {
  'process-limit': [TWICE, AGAIN_AND_AGAIN],
  'memory-pressure': [TWICE, AGAIN_AND_AGAIN],
  // It is restarted in a loop.
  'process-failure': [{ tier: 1, onsets: 3 }],
  'breaker-open': [{ tier: 1, held: 0 }],
  unresponsive: [{ tier: 1, held: 300_000 }],
  'resource-violation': [TWICE],
  'service-level': [{ tier: 3, held: 0, of: 'critical' }],
  'cleanup-failure': [],
  leak: [],
  stuck: [],
  explosion: [],
};

/** Since when a trigger applies; Infinity when none does by now, and none will by time. */
export function triggeredSince(alert: Pick<Escalating, 'kind' | 'severity' | 'heldSince' | 'onsets'>): number {
  return Math.min(...triggersOf(alert).map((trigger) => appliesSince(trigger, alert)));
}

/** How many tiers must have been told by now. */
export function tierAt(alert: Escalating, tiers: ResolvedAlerts['tiers'], now: number): number {
  return Math.max(alert.tier, ...stepsOf(alert, tiers).flatMap(({ tier, at }) => (at <= now ? [tier] : [])));
}

/** When a further tier must be told; Infinity when none must by time. */
export function nextTierAt(alert: Escalating, tiers: ResolvedAlerts['tiers']): number {
  return Math.min(...stepsOf(alert, tiers).flatMap(({ tier, at }) => (tier > alert.tier ? [at] : [])));
}

/** Up to which tier is told, and when. What is acknowledged escalates only because it comes back. */
function stepsOf(alert: Escalating, tiers: ResolvedAlerts['tiers']): { readonly tier: number; readonly at: number }[] {
  if (alert.severity === 'info') return [];
  const isAcknowledged = alert.state === 'acknowledged';
  const triggers = triggersOf(alert).filter(({ onsets }) => onsets !== undefined || !isAcknowledged);
  const byTrigger = triggers.map((trigger) => ({ tier: trigger.tier, at: appliesSince(trigger, alert) }));
  const byTime = tiers.map(({ after }, index) => ({ tier: index + 1, at: alert.openSince + after }));
  const withoutSuccess = { tier: 2, at: (alert.triggeredSince ?? Infinity) + WITHOUT_SUCCESS };
  const steps = isAcknowledged ? byTrigger : [...byTrigger, ...byTime, withoutSuccess];
  return steps.map(({ tier, at }) => ({ tier: Math.min(tier, tiers.length), at }));
}

function triggersOf({ kind, severity }: Pick<Escalating, 'kind' | 'severity'>): readonly Trigger[] {
  return TRIGGERS[kind].filter(({ of = severity }) => of === severity);
}

function appliesSince(trigger: Trigger, { heldSince, onsets }: Pick<Escalating, 'heldSince' | 'onsets'>): number {
  if (trigger.onsets === undefined) return heldSince + trigger.held;
  const [first, last] = [onsets.at(-trigger.onsets), onsets.at(-1)];
  return first !== undefined && last !== undefined && last - first <= WITHIN ? last : Infinity;
}
