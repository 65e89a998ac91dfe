import type { ResolvedAlerts } from '../../config/alert-options.js';
import { type Escalating, nextTierAt, tierAt, triggeredSince } from './escalation.js';

/** What is known of an alert at one moment. Clock times, in ms. */
export interface AlertFacts extends Escalating {
  /** Since when its condition does not hold; undefined while it does. */
  readonly endedAt: number | undefined;
  /** When its condition ends by itself. */
  readonly lapsesAt: number;
  /** How long the condition must be over before the alert is resolved. */
  readonly quiet: number;
  /** When it was raised or repeated last. */
  readonly toldAt: number;
  /** Whether an alert of the whole pool keeps it silent. */
  readonly isInhibited: boolean;
}

type Settings = Pick<ResolvedAlerts, 'for' | 'repeatInterval' | 'tiers'>;

/** What is to be done with an alert now. One thing at a time: what is done may change what is next. */
export function decide(
  alert: AlertFacts,
  settings: Settings,
  now: number,
): 'fire' | 'escalate' | 'repeat' | 'end' | undefined {
  if (alert.state === 'resolved') return undefined;
  if (alert.endedAt !== undefined) return now >= endsAt(alert, alert.endedAt) ? 'end' : undefined;
  if (alert.isInhibited) return undefined;
  if (alert.state === 'pending') return now >= firesAt(alert, settings) ? 'fire' : undefined;
  if (tierAt(alert, settings.tiers, now) > alert.tier) return 'escalate';
  return now >= repeatsAt(alert, settings) ? 'repeat' : undefined;
}

/** When that can change by time alone; Infinity when it cannot. */
export function nextLook(alert: AlertFacts, settings: Settings): number {
  if (alert.state === 'resolved') return Infinity;
  if (alert.endedAt !== undefined) return endsAt(alert, alert.endedAt);
  if (alert.isInhibited) return alert.lapsesAt;
  if (alert.state === 'pending') return Math.min(alert.lapsesAt, firesAt(alert, settings));
  return Math.min(alert.lapsesAt, nextTierAt(alert, settings.tiers), repeatsAt(alert, settings));
}

/** One that was not raised ends with its condition. Any other could come back, and be another alert each time. */
function endsAt({ state, quiet }: AlertFacts, endedAt: number): number {
  return state === 'pending' ? endedAt : endedAt + quiet;
}

function firesAt(alert: AlertFacts, settings: Settings): number {
  return Math.min(alert.heldSince + settings.for, triggeredSince(alert));
}

function repeatsAt({ state, toldAt }: AlertFacts, { repeatInterval }: Settings): number {
  return state === 'firing' ? toldAt + repeatInterval : Infinity;
}
