import { expect, onTestFinished } from 'vitest';
import {
  type AlertEvents,
  AlertManager,
  type AlertNotification,
  type AlertOptions,
  type AlertReport,
} from '../../src/index.js';
import { ALERT_EVENTS } from '../../src/pool/events.js';
import { ManualClock } from './clock.js';

interface Heard {
  readonly event: keyof AlertEvents;
  readonly payload: never;
}

/** An alert manager alone, with a clock that the test advances and a record of its events; closed when the test is over. */
export function setUpAlerts(options: AlertOptions = {}) {
  const clock = new ManualClock();
  const alerts = new AlertManager(options, clock);
  const heard: Heard[] = [];
  for (const event of ALERT_EVENTS) {
    alerts.on(event, ((payload: never) => void heard.push({ event, payload })) as never);
  }
  onTestFinished(() => {
    alerts.close();
    expect(clock.pending).toBe(0);
  });
  /** The payloads of an event so far. */
  const of = <K extends keyof AlertEvents>(event: K) =>
    heard.filter((one) => one.event === event).map(({ payload }) => payload as AlertEvents[K]);
  let taken = 0;
  /** The names of the events since the last call. */
  const take = () => {
    const names = heard.slice(taken).map(({ event }) => event);
    taken = heard.length;
    return names;
  };
  return { clock, alerts, of, take };
}

/** A report that has nothing of its own. */
export function report(more: Partial<AlertReport> = {}): AlertReport {
  const usual = {
    kind: 'resource-violation',
    subject: { name: 'files' },
    severity: 'warning',
    message: 'too much',
  } as const;
  return { ...usual, ...more };
}

/** The same for what no return brings earlier. */
export function hang(more: Partial<AlertReport> = {}): AlertReport {
  return report({ kind: 'stuck', ...more });
}

/** A condition of the whole pool. */
export function poolWide(more: Partial<AlertReport> = {}): AlertReport {
  return report({ kind: 'explosion', subject: {}, severity: 'critical', ...more });
}

/** Three tiers, as in issue 12, that write down what they are told. */
export function threeTiers() {
  const told: string[] = [];
  const notify = ({ tier, reason }: AlertNotification) => void told.push(`${tier} ${reason}`);
  const tiers = [0, 900_000, 1_800_000].map((after) => ({ after, notify }));
  return { tiers, take: () => told.splice(0) };
}
