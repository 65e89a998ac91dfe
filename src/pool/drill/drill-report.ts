import type { DrillFault, DrillVerdict } from '../../config/call-options.js';
import type { HealthChange } from '../../health/health-events.js';
import { quoted } from '../../runtime/quoted.js';
import type { DetectedBy, DrillAlert } from './drill-watch.js';

/** What a drill has seen. */
export interface DrillFacts {
  /** Name of the definition. */
  readonly name: string;
  /** Undefined when the definition has none. */
  readonly label: string | undefined;
  /** The instance that was broken, and the pid of the process that was spawned. */
  readonly instanceId: string;
  readonly pid: number | undefined;
  readonly fault: DrillFault;
  /** True: nothing was done, and nothing is measured. */
  readonly dryRun: boolean;
  /** Why the drill ended before the server had recovered. Undefined when it had. */
  readonly interrupted: 'aborted' | 'failed' | undefined;
  /** From the fault until the pool found it, in ms; undefined when it did not. */
  readonly detection: number | undefined;
  /** By which event: the exit of the process, or a verdict of the health monitor. */
  readonly detectedBy: DetectedBy | undefined;
  /** From the moment in which the pool began to end the broken instance until a new one answered, in ms. */
  readonly restart: number | undefined;
  /** From the fault until a new instance answered, in ms. */
  readonly recovery: number | undefined;
  /** The new instance. */
  readonly newInstanceId: string | undefined;
  /** What the health monitor said about the broken instance. */
  readonly health: readonly Pick<HealthChange, 'to' | 'reason'>[];
  /** Alerts of the pool that were raised meanwhile; at most 20. */
  readonly alerts: readonly DrillAlert[];
  /** Detection and restart are to be faster, in ms: `serviceLevels.targets` of the pool. */
  readonly targets: { readonly detection: number; readonly restart: number };
  /** Whether the server has as many instances for callers as before. */
  readonly restored: boolean;
  /** What else is to be known, one sentence each. */
  readonly notes: readonly string[];
}

/** Result of `runRecoveryDrill()`. `String(report)` is a table. Times are milliseconds. */
export interface DrillReport extends Omit<DrillFacts, 'interrupted'> {
  readonly verdict: DrillVerdict;
  /** A table. */
  toString(): string;
}

export function drillReport({ interrupted, ...facts }: DrillFacts): DrillReport {
  const { dryRun, restored, targets } = facts;
  const inTime = isWithin(facts.detection, targets.detection) && isWithin(facts.restart, targets.restart);
  const verdict = dryRun ? 'planned' : (interrupted ?? (inTime && restored ? 'passed' : 'failed'));
  const report = { ...facts, verdict } as const;
  // Not a field: what a host writes as JSON, or compares, are the facts.
  return Object.defineProperty(report, 'toString', { value: () => tableOf(report) });
}

const LABEL = 12;
const TIME = 12;

function tableOf(report: Omit<DrillReport, 'toString'>): string {
  const { label, name, fault, instanceId, pid, dryRun, verdict, detectedBy, notes } = report;
  const begin = dryRun ? 'Plan of a drill' : 'Drill';
  const lines = [`${begin}: ${fault} server '${quoted(label ?? name)}', instance ${instanceId}, pid ${pid ?? '-'}`];
  if (!dryRun) lines.push(...timesOf(report), row('found by', detectedBy ?? 'nothing'));
  for (const { to, reason } of report.health) lines.push(row('health', `${to}: ${quoted(reason)}`));
  for (const { kind, severity, subject } of report.alerts)
    lines.push(row('alert', `${severity} ${kind} ${quoted(subject.name ?? 'pool')}`));
  if (!dryRun) lines.push(row('pool', report.restored ? 'as it was' : 'not as it was'));
  for (const note of notes) lines.push(row('note', quoted(note)));
  lines.push(row('verdict', verdict));
  return lines.join('\n');
}

function timesOf({ detection, restart, recovery, targets }: Omit<DrillReport, 'toString'>): string[] {
  const target = (measured: number | undefined, most: number) =>
    `${`< ${inWords(most)}`.padEnd(TIME)}${isWithin(measured, most) ? 'ok' : 'missed'}`;
  return [
    row('', `${'measured'.padEnd(TIME)}target`),
    row('detection', `${inWords(detection).padEnd(TIME)}${target(detection, targets.detection)}`),
    row('restart', `${inWords(restart).padEnd(TIME)}${target(restart, targets.restart)}`),
    row('recovery', inWords(recovery)),
  ];
}

function row(label: string, text: string): string {
  return `${label.padEnd(LABEL)}${text}`;
}

function inWords(time: number | undefined): string {
  if (time === undefined) return '-';
  return time < 10_000 ? `${Math.round(time)} ms` : `${Math.round(time / 1_000)} s`;
}

function isWithin(time: number | undefined, most: number): boolean {
  return time !== undefined && time < most;
}
