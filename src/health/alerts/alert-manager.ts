import { type Alert, severityRank } from '../../config/alert.js';
import type { AlertOptions, ResolvedAlerts } from '../../config/alert-options.js';
import {
  type AlertCondition,
  type AlertReport,
  type ResolvedCondition,
  type ResolvedReport,
  resolveCondition,
  resolveReport,
} from '../../config/alert-report.js';
import { readArgument, readLabel } from '../../config/arguments.js';
import { label } from '../../config/fields.js';
import { resolveAlertOptions } from '../../config/resolve-alerts.js';
import { listenerError, SafeEmitter } from '../../events.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { DueTimer, DueTimes } from '../../runtime/due-times.js';
import { Outbox } from '../../runtime/outbox.js';
import type { AlertEvents } from './alert-events.js';
import { decide, nextLook } from './decision.js';
import { tierAt } from './escalation.js';
import { PastConditions } from './past-conditions.js';
import { Tiers } from './tiers.js';
import { TrackedAlert } from './tracked-alert.js';

/** How many conditions are tracked, alerts included. */
const MOST_CONDITIONS = 500;
/** In this time there is at most one event about what is more, ms. */
const DROPPED_PAUSE = 60_000;

const person = label();

/**
 * Makes alerts of conditions that last or come back, one of each, and tells tier after tier until an alert is acknowledged. In a
 * pool it is `pool.alerts`, and knows what happens there. It also works alone: `raise()` what you find. Its events are
 * {@link AlertEvents}. It keeps no host alive.
 */
export class AlertManager extends SafeEmitter<AlertEvents> {
  readonly #settings: ResolvedAlerts;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #dueTimes = new DueTimes();
  readonly #timer: DueTimer;
  readonly #tiers: Tiers;
  /** By kind and subject, the oldest first. */
  readonly #tracked = new Map<string, TrackedAlert>();
  readonly #past = new PastConditions();
  /** The conditions of the whole pool that hold. */
  readonly #poolWide = new Set<TrackedAlert>();
  #dropped = 0;
  #droppedToldAt = -Infinity;
  #isClosed = false;

  /**
   * @param options as `alerts` of a pool. Default: none
   * @param clock the source of time. Default: the monotonic clock of Node and its timers
   * @param outbox of a pool, which delivers the events
   * @throws PoolError `INVALID_OPTIONS` that lists every problem
   */
  constructor(options: AlertOptions = {}, clock: Clock = systemClock, outbox: Outbox = new Outbox()) {
    super(outbox);
    this.#settings = resolveAlertOptions(options);
    this.#clock = clock;
    this.#outbox = outbox;
    const dueTimes = this.#dueTimes;
    this.#timer = new DueTimer(clock, dueTimes, () =>
      this.#run((now) => dueTimes.run(now, (error) => this.#fault(error))),
    );
    this.#tiers = new Tiers(this.#settings.tiers, {
      clock,
      dueTimes,
      run: (task) => this.#run(task),
      call: (task) => outbox.push(task),
      onError: (tier, error) => this.emit('listener:error', listenerError(`alerts.tiers[${tier - 1}].notify`, error)),
    });
  }

  override toJSON(): object {
    const active = this.#active().length;
    return { active, pending: this.#tracked.size - active, dropped: this.#dropped };
  }

  /**
   * A condition holds now. It is an alert when it has held for the time `for`, or comes back too often. Report it as often as you
   * like: that is counted. Without effect where alerts are not enabled, and after `close()`.
   * @param report kind, subject, severity, message; what to do about it; for how long it counts (default: until `resolve()`)
   * @throws PoolError `INVALID_OPTIONS`
   */
  raise(report: AlertReport): void {
    const given = resolveReport(report);
    if (this.#settings.enabled && !this.#isClosed) this.#run((now) => this.#raise(given, now));
  }

  /**
   * A condition is over, for one source of it or for all. Its alert is resolved when it does not come back within a minute, or the
   * time `for` if that is longer; within up to an hour if it has come back before.
   * @returns false when it did not hold
   * @throws PoolError `INVALID_OPTIONS`
   */
  resolve(condition: AlertCondition): boolean {
    const given = resolveCondition(condition);
    return this.#run((now) => {
      const alert = this.#look(this.#tracked.get(keyOf(given)), now);
      if (alert === undefined || alert.endedAt !== undefined) return false;
      alert.takeBack(given.source, now);
      this.#look(alert, now);
      return true;
    });
  }

  /** The alerts that were raised and are not resolved, the most severe first, of these the oldest: copies, at most 500. */
  active(): Alert[] {
    const now = this.#clock.now();
    const alerts = this.#active().sort((a, b) => rankOf(b) - rankOf(a) || a.raisedAt - b.raisedAt);
    return alerts.map((alert) => this.#shown(alert, now));
  }

  /**
   * An alert is being worked on: it is not repeated, and time alone tells no further tier. One that is reported as more severe
   * after that fires again.
   * @param id as `Alert.id`
   * @param by who works on it, 1 to 100 characters
   * @returns false when no active alert has this id, or it is acknowledged already
   * @throws PoolError `INVALID_OPTIONS`
   */
  acknowledge(id: string, by: string): boolean {
    const call = 'alerts.acknowledge()';
    readLabel(id, 'id', call);
    const who = String(readArgument(person, by, 'by', call));
    return this.#run((now) => {
      const alert = this.#active().find((one) => one.id === id);
      if (alert === undefined || !alert.acknowledge(who)) return false;
      this.emit('alert:acknowledged', this.#shown(alert, now));
      this.#look(alert, now);
      return true;
    });
  }

  /**
   * Resolves all alerts (`closed`) and sets no timer any more. Tiers are told once more what they do not know yet. `raise()` has
   * no effect from now on.
   */
  close(): void {
    this.#run((now) => {
      this.#isClosed = true;
      for (const alert of [...this.#tracked.values()]) this.#end(alert, 'closed', now);
      this.#tiers.close();
      this.#timer.stop();
    });
  }

  /** Events, and calls of the host, come when the task is complete. */
  #run<T>(task: (now: number) => T): T {
    this.#outbox.hold();
    try {
      return task(this.#clock.now());
    } finally {
      this.#timer.set();
      this.#outbox.release();
    }
  }

  /** A fault of this library when something was due. The rest of what is due is done all the same. */
  #fault(error: unknown): void {
    this.emit('listener:error', listenerError('alerts', error));
  }

  #raise(report: ResolvedReport, now: number): void {
    const key = keyOf(report);
    // What was due before comes first.
    const alert = this.#look(this.#tracked.get(key), now) ?? this.#begin(key, report, now);
    const isWorse = alert?.report(report, now);
    if (alert && isWorse && !this.#isInhibited(alert)) this.#repeat(alert, 'worsened', now);
    this.#look(alert, now);
  }

  /** Undefined when there are too many conditions, and none is less severe. */
  #begin(key: string, report: ResolvedReport, now: number): TrackedAlert | undefined {
    if (this.#tracked.size >= MOST_CONDITIONS) {
      const least = leastSevere(this.#tracked.values());
      if (least === undefined || rankOf(least) >= rankOf(report)) return this.#drop(report, 1, now);
      if (!least.isActive) this.#drop(least, least.count, now);
      this.#end(least, 'displaced', now);
    }
    const past = this.#past.recall(key, now);
    const alert: TrackedAlert = new TrackedAlert(key, report, this.#settings.for, past, (at) => this.#look(alert, at));
    this.#tracked.set(key, alert);
    return alert;
  }

  #drop(
    { kind, subject, severity }: Pick<Alert, 'kind' | 'subject' | 'severity'>,
    reports: number,
    now: number,
  ): undefined {
    this.#dropped += reports;
    if (now < this.#droppedToldAt + DROPPED_PAUSE) return;
    this.#droppedToldAt = now;
    this.emit('alert:dropped', { kind, subject, severity, dropped: this.#dropped });
  }

  /** Does what is due for a condition, and sets when it is looked at next. @returns it, unless it has ended */
  #look(alert: TrackedAlert | undefined, now: number): TrackedAlert | undefined {
    if (alert === undefined) return undefined;
    alert.advance(now);
    alert.isInhibited = this.#isInhibited(alert);
    for (let next = decide(alert, this.#settings, now); next; next = decide(alert, this.#settings, now)) {
      if (next === 'fire') this.#fire(alert, now);
      else if (next === 'escalate') this.#escalate(alert, now);
      else if (next === 'repeat') this.#repeat(alert, 'interval', now);
      else this.#end(alert, 'ended', now);
    }
    if (alert.state === 'resolved') return undefined;
    this.#dueTimes.set(alert.due, nextLook(alert, this.#settings));
    if (alert.isPoolWide && alert.endedAt === undefined) this.#poolWide.add(alert);
    else this.#freeServers(alert, now);
    return alert;
  }

  /** While a condition of the whole pool holds, those of its servers that are not more severe are silent. */
  #isInhibited(alert: TrackedAlert): boolean {
    if (!this.#settings.inhibit || alert.subject.name === undefined) return false;
    return [...this.#poolWide].some((one) => rankOf(one) >= rankOf(alert));
  }

  /** A condition does not hold: what it has kept silent is not silent any more. */
  #freeServers(alert: TrackedAlert, now: number): void {
    if (!this.#poolWide.delete(alert) || this.#isClosed) return;
    for (const other of [...this.#tracked.values()]) if (other.isInhibited) this.#look(other, now);
  }

  #fire(alert: TrackedAlert, now: number): void {
    alert.fire(now);
    this.emit('alert:raised', this.#shown(alert, now));
  }

  #escalate(alert: TrackedAlert, now: number): void {
    const from = alert.tier;
    alert.escalate(tierAt(alert, this.#settings.tiers, now));
    const shown = this.#shown(alert, now);
    if (alert.tier > 1) this.emit('alert:escalated', { ...shown, from });
    this.#tiers.tellNew(from, shown, alert.suppressed);
  }

  #repeat(alert: TrackedAlert, reason: AlertEvents['alert:repeated']['reason'], now: number): void {
    const { suppressed } = alert;
    alert.told(now);
    const shown = this.#shown(alert, now);
    this.emit('alert:repeated', { ...shown, suppressed, reason });
    this.#tiers.tellAll({ reason: 'repeated', alert: shown, suppressed });
  }

  #end(alert: TrackedAlert, reason: AlertEvents['alert:resolved']['reason'], now: number): void {
    const { isActive, suppressed, raisedAt } = alert;
    this.#past.remember(alert.key, alert.end(now));
    this.#tracked.delete(alert.key);
    this.#dueTimes.delete(alert.due);
    if (isActive) {
      const shown = this.#shown(alert, now);
      this.emit('alert:resolved', { ...shown, suppressed, reason, duration: Math.round(now - raisedAt) });
      this.#tiers.tellAll({ reason: reason === 'ended' ? 'resolved' : reason, alert: shown, suppressed });
    }
    this.#freeServers(alert, now);
  }

  #active(): TrackedAlert[] {
    return [...this.#tracked.values()].filter(({ isActive }) => isActive);
  }

  #shown(alert: TrackedAlert, now: number): Alert {
    return alert.shown(now, this.#isInhibited(alert), this.#tiers.failures(alert.id));
  }
}

function keyOf({ kind, subject: { name = '', part = '' } }: Pick<ResolvedCondition, 'kind' | 'subject'>): string {
  // No name is empty or has a NUL.
  return `${kind}\0${name}\0${part}`;
}

function rankOf({ severity }: Pick<Alert, 'severity'>): number {
  return severityRank(severity);
}

/** The oldest of them. */
function leastSevere(alerts: Iterable<TrackedAlert>): TrackedAlert | undefined {
  let least: TrackedAlert | undefined;
  for (const alert of alerts) if (least === undefined || rankOf(alert) < rankOf(least)) least = alert;
  return least;
}
