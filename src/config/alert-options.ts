import type { AlertNotification } from './alert.js';
import { about, describeValue, type Field, flag, type Given, isPlainObject, type Resolved } from './fields.js';
import { noShorterOrNever, zeroOrNoShorter } from './number-fields.js';

/** Durations below it were most likely meant in seconds or minutes, ms. */
const LEAST = 1_000;
/** A host with more has made a mistake. */
const MOST_TIERS = 10;

/** One after the other is told of an alert that is not acknowledged. */
export const tierFields = {
  /**
   * When it is told of an alert that is not acknowledged: so many milliseconds after that was raised; 0 (at once), or at least
   * 1,000. `Infinity`: only for a reason of its own (docs/alerts.md). Required.
   */
  after: about('how long after the alert was raised it is told', {
    ...zeroOrNoShorter(0, LEAST),
    required: true,
  } as Field<number> & { required: true }),
  /**
   * Tells it. It may throw, reject, or not answer within 30 s; then it is called again, after pauses that grow. `signal` is
   * aborted after 30 s. Required.
   */
  notify: about('tells it', {
    default: () => {},
    required: true,
    check: (value) => (typeof value === 'function' ? undefined : `a function, got ${describeValue(value)}`),
  } as Field<(notification: AlertNotification, signal: AbortSignal) => unknown> & { required: true }),
};

/** A tier: see `alerts.tiers`. */
export type AlertTier = Given<typeof tierFields>;

/** Which conditions are an alert, and what is called with them. */
export const alertFields = {
  /** Whether anything is reported. Default: true; false in a global pool that was made without options. */
  enabled: about('whether anything is reported; false in a global pool that was made without options', flag(true)),
  /**
   * How long a condition must hold before it is an alert, in milliseconds: 0, or at least 1,000. One that comes back again and
   * again is an alert sooner (docs/alerts.md). Default: 30,000.
   */
  for: about(
    'how long a condition must hold before it is an alert: 0, or at least 1,000',
    zeroOrNoShorter(30_000, LEAST),
  ),
  /** An alert that is not acknowledged is repeated after this time, in milliseconds, at least 1,000. Default: 14,400,000. */
  repeatInterval: about(
    'an alert that is not acknowledged is repeated after this time; at least 1,000, or `Infinity`',
    noShorterOrNever(14_400_000, LEAST),
  ),
  /** Whether an alert of the whole pool keeps those of its servers silent that are not more severe. Default: true. */
  inhibit: about(
    'a condition of the whole pool keeps the alerts of its servers silent that are not more severe',
    flag(true),
  ),
  /** What is called: each tier later than the one before it, as long as the alert is not acknowledged. Default: `[]`. */
  tiers: about(
    'what is called with an alert, at most 10 of `{ after, notify }`; none earlier than the one before it',
    tiers(),
  ),
};

/** The option `alerts`, and the options of an `AlertManager`. */
export type AlertOptions = Given<typeof alertFields>;

/** The same with every default filled in. */
export interface ResolvedAlerts extends Omit<Resolved<typeof alertFields>, 'tiers'> {
  readonly tiers: readonly Resolved<typeof tierFields>[];
}

/** Each item is read by its own table in `resolve-alerts.ts`. */
function tiers(): Field<readonly AlertTier[]> {
  const what = `an array of at most ${MOST_TIERS} tiers ({ after, notify })`;
  return {
    default: [],
    check(value) {
      if (!Array.isArray(value)) return `${what}, got ${describeValue(value)}`;
      if (value.length > MOST_TIERS) return `${what}, got ${value.length}`;
      const wrong = value.findIndex((item) => !isPlainObject(item));
      return wrong === -1 ? undefined : `${what}; item ${wrong} is no object`;
    },
  };
}
