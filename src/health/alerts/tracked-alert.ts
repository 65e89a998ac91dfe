import {
  type Alert,
  type AlertKind,
  type AlertSeverity,
  type AlertState,
  type AlertSubject,
  severityRank,
  type UndeliveredAlert,
} from '../../config/alert.js';
import type { ResolvedReport } from '../../config/alert-report.js';
import { type Due, newDue } from '../../runtime/due-times.js';
import { type AlertStep, stateAfter } from './alert-state.js';
import { Condition } from './condition.js';
import type { AlertFacts } from './decision.js';
import { triggeredSince } from './escalation.js';
import type { PastCondition } from './past-conditions.js';

/** The least and the most that a condition must be over before its alert is resolved, ms. The option `for` may be more. */
const QUIET = { least: 60_000, most: 3_600_000 } as const;
/** A condition that came back must be over for so many times the time that it was over then: from now on it is one alert. */
const TIMES_THE_GAP = 2;

/** Of all alert managers of this process, so that no id is given twice. */
let sequence = 0;

/** A condition that was reported, and the alert that it is or may become. It decides nothing, and is fed clock times. */
export class TrackedAlert implements AlertFacts {
  readonly id = `alert-${Date.now()}-${++sequence}`;
  /** Stands for its kind and its subject. */
  readonly key: string;
  readonly kind: AlertKind;
  readonly subject: AlertSubject;
  /** When it is looked at next. */
  readonly due: Due;
  /** Whether an alert of the whole pool keeps it silent. Written by the alert manager. */
  isInhibited = false;
  readonly #since = Date.now();
  readonly #condition: Condition;
  #state: AlertState = 'pending';
  #severity: AlertSeverity;
  #latest: ResolvedReport;
  #count = 0;
  #suppressed = 0;
  #quiet: number;
  #wasRaised: boolean;
  #raisedAt = Infinity;
  #openSince = Infinity;
  #toldAt = Infinity;
  #tier = 0;
  #acknowledgedBy: string | undefined;
  #triggeredSince: number | undefined;

  /**
   * @param hold the option `for`
   * @param past what is remembered of the condition
   * @param look called when it is due
   */
  constructor(
    key: string,
    report: ResolvedReport,
    hold: number,
    past: PastCondition | undefined,
    look: (now: number) => void,
  ) {
    this.key = key;
    this.kind = report.kind;
    this.subject = report.subject;
    this.due = newDue(look);
    this.#severity = report.severity;
    this.#latest = report;
    this.#condition = new Condition(past);
    this.#quiet = Math.max(QUIET.least, hold, past?.quiet ?? 0);
    this.#wasRaised = past?.wasRaised ?? false;
  }

  get state(): AlertState {
    return this.#state;
  }

  get severity(): AlertSeverity {
    return this.#severity;
  }

  get heldSince(): number {
    return this.#condition.heldSince;
  }

  get endedAt(): number | undefined {
    return this.#condition.endedAt;
  }

  get lapsesAt(): number {
    return this.#condition.lapsesAt;
  }

  get onsets(): readonly number[] {
    return this.#condition.onsets;
  }

  get quiet(): number {
    return this.#quiet;
  }

  get raisedAt(): number {
    return this.#raisedAt;
  }

  get openSince(): number {
    return this.#openSince;
  }

  get toldAt(): number {
    return this.#toldAt;
  }

  get tier(): number {
    return this.#tier;
  }

  get triggeredSince(): number | undefined {
    return this.#triggeredSince;
  }

  /** Whether it was raised and is not resolved. */
  get isActive(): boolean {
    return this.#state === 'firing' || this.#state === 'acknowledged';
  }

  get isPoolWide(): boolean {
    return this.subject.name === undefined && this.subject.part === undefined;
  }

  get count(): number {
    return this.#count;
  }

  /** Reports since the last event about it. */
  get suppressed(): number {
    return this.#suppressed;
  }

  /** The condition was reported. @returns whether that makes an alert more severe */
  report(report: ResolvedReport, now: number): boolean {
    const gap = this.#condition.report(report.source ?? '', now, report.lasts);
    if (gap !== undefined && this.#wasRaised)
      this.#quiet = Math.max(this.#quiet, Math.min(gap * TIMES_THE_GAP, QUIET.most));
    this.#latest = report;
    this.#count += 1;
    this.#suppressed += 1;
    if (severityRank(report.severity) <= severityRank(this.#severity)) return false;
    const isNews = this.#take('worsen') || this.#severity === 'info';
    if (isNews) [this.#openSince, this.#acknowledgedBy] = [now, undefined];
    this.#severity = report.severity;
    return this.isActive;
  }

  /** @param source undefined: none has the condition any more */
  takeBack(source: string | undefined, now: number): void {
    this.#condition.takeBack(source, now);
  }

  advance(now: number): void {
    this.#condition.advance(now);
    const since = triggeredSince(this);
    if (this.endedAt === undefined && since <= now) this.#triggeredSince ??= since;
  }

  fire(now: number): void {
    this.#take('fire');
    this.#wasRaised = true;
    this.#raisedAt = now;
    this.#openSince = now;
    this.told(now);
  }

  /** An event has its count. */
  told(now: number): void {
    this.#toldAt = now;
    this.#suppressed = 0;
  }

  escalate(tier: number): void {
    this.#tier = tier;
  }

  /** False when it is not firing. */
  acknowledge(by: string): boolean {
    if (!this.#take('acknowledge')) return false;
    this.#acknowledgedBy = by;
    return true;
  }

  /** @returns what is to be remembered of its condition */
  end(now: number): PastCondition {
    this.#take('end');
    const [quiet, wasRaised] = [this.#quiet, this.#wasRaised];
    return { onsets: this.onsets, endedAt: this.endedAt ?? now, quiet, wasRaised };
  }

  shown(now: number, inhibited: boolean, undelivered: readonly UndeliveredAlert[]): Alert {
    const { id, kind, subject, severity, state, tier } = this;
    const { message, action = '', data } = this.#latest;
    return {
      ...{ id, kind, subject, severity, state, message, action, data },
      sources: this.#condition.sources(now),
      since: this.#since,
      count: this.#count,
      tier,
      acknowledgedBy: this.#acknowledgedBy,
      holds: this.endedAt === undefined,
      inhibited,
      undelivered,
    };
  }

  /** The one place where the state changes. False when the step does not apply. */
  #take(step: AlertStep): boolean {
    const next = stateAfter(this.#state, step);
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}
