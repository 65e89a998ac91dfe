import type { AlertKind, AlertSeverity, AlertSubject } from '../../config/alert.js';
import type { AlertCondition, AlertReport } from '../../config/alert-report.js';
import type { StuckEvent } from '../../health/health-events.js';
import type { Level } from '../../monitor/level.js';
import type { LimitEvent, LimitKind } from '../../monitor/monitor-events.js';
import { cut } from '../../runtime/cut.js';
import { END_MEANING, type EndReason } from '../../server/end-reason.js';
import type { PoolEvents } from '../events.js';

/** What an event says of a condition: it holds, or is over. */
export type AlertChange = { readonly raise: AlertReport } | { readonly resolve: AlertCondition };

/** What the pool knows besides the event. */
export interface PoolFacts {
  /** Whether a breaker of the server is not closed: each tenant has one. */
  isBroken(name: string): boolean;
}

type Rules = {
  readonly [K in keyof PoolEvents]?: (payload: PoolEvents[K], facts: PoolFacts) => readonly AlertChange[];
};

/** How long a single event counts, ms. */
const LASTS = {
  /** Until the server is ready again, or this is over: then it is not used. */
  failure: 600_000,
  /** Shorter than `for` by default: one caller that gets no server is no alert, callers that get none for half a minute are. */
  refusal: 20_000,
  growth: 60_000,
  /** Two looks: what is stuck is reported with each. */
  stuck: 60_000,
  leakedLease: 3_600_000,
  /** No event says that a leak was none. */
  leak: 86_400_000,
} as const;

/** Conditions of one process tree, which end with it. */
const OF_A_TREE: readonly { readonly kind: AlertKind; readonly part?: string }[] = [
  { kind: 'unresponsive' },
  { kind: 'cleanup-failure' },
  { kind: 'leak', part: 'memory' },
  { kind: 'stuck', part: 'request' },
  { kind: 'stuck', part: 'start' },
  { kind: 'stuck', part: 'cleanup' },
];

const CPU = '% of a core';
/** The data of an alert has a limit, and the name of a server has none. */
const shortened = (name: string) => cut(name, 200);

interface LimitRule {
  readonly kind: AlertKind;
  readonly severity: AlertSeverity;
  readonly unit: string;
  readonly action: string;
}

/** What a limit that is exceeded is an alert of. */
const LIMITS: Readonly<Record<LimitKind, LimitRule>> = {
  memory: {
    kind: 'resource-violation',
    severity: 'warning',
    unit: 'MB',
    action: 'find out what it needs the memory for, or raise memoryLimitMB of the server',
  },
  cpu: {
    kind: 'resource-violation',
    severity: 'warning',
    unit: CPU,
    action: 'find out what it computes, or raise cpuLimitPercent of the server',
  },
  processes: {
    kind: 'process-limit',
    severity: 'warning',
    unit: 'processes',
    action: 'find out what it starts, or raise maxTreeProcesses of the server',
  },
  'total-memory': {
    kind: 'memory-pressure',
    severity: 'critical',
    unit: 'MB',
    action: 'new starts wait: see status() for the largest servers, end some, or raise limits.memoryLimitMB',
  },
  'total-cpu': {
    kind: 'resource-violation',
    severity: 'warning',
    unit: CPU,
    action: 'see status() for the servers that compute most, or raise limits.cpuLimitPercent',
  },
  'host-memory': {
    kind: 'memory-pressure',
    severity: 'warning',
    unit: '% of its memory',
    action: 'find out what else uses the memory of the machine, or let fewer servers run',
  },
  folder: {
    kind: 'resource-violation',
    severity: 'warning',
    unit: 'MB',
    action: 'delete what is not needed, raise limitMB of the folder, or let the pool prune it',
  },
};

const LEVEL_SEVERITY: Readonly<Record<Level, AlertSeverity>> = {
  normal: 'info',
  warning: 'warning',
  critical: 'critical',
  nuclear: 'critical',
  emergency: 'critical',
};

/** What a level is an alert of, and what it is not any more. */
const MEMORY_LEVEL = ['memory-pressure', 'explosion'] as const;
const PROCESS_LEVEL = ['explosion', 'memory-pressure'] as const;

/** Failures with an event of their own. */
const TOLD_OTHERWISE: ReadonlySet<EndReason> = new Set(['crashed', 'start-failed']);

/** Which event of a pool raises or resolves which alert: the only place that says it. */
export const RULES: Rules = {
  'server:exited': ({ name, unexpected, exitCode, signal }) => {
    if (!unexpected) return [];
    return raised({
      ...{ kind: 'process-failure', subject: { name }, severity: 'warning', lasts: LASTS.failure },
      message: `server '${name}' ended by itself (${signal ?? `exit code ${exitCode}`})`,
      action: 'read stderrTail of server:exited; the pool starts it again when it is needed',
      data: { exitCode, signal },
    });
  },
  'server:failed': ({ name, error: { code } }) =>
    raised({
      ...{ kind: 'process-failure', subject: { name }, severity: 'warning', lasts: LASTS.failure },
      message: `server '${name}' could not be started (${code})`,
      action: 'read lastFailure of the server in status(), and correct its definition or what it needs',
      data: { code },
    }),
  // It ran still, and the pool had to end it.
  'server:stopping': ({ name, reason }) => {
    if (END_MEANING[reason].asked || TOLD_OTHERWISE.has(reason)) return [];
    return raised({
      ...{ kind: 'process-failure', subject: { name }, severity: 'warning', lasts: LASTS.failure },
      message: `server '${name}' was ended because it failed (${reason})`,
      action: 'see what it writes to stderr; the pool starts it again when it is needed',
      data: { reason },
    });
  },
  'server:ready': ({ name, instanceId }) => [
    ...resolved('process-failure', { name }),
    ...resolved('stuck', { name, part: 'start' }, instanceId),
  ],
  'server:quarantined': ({ name, instanceId, report: { survivors } }) =>
    raised({
      ...{ kind: 'cleanup-failure', subject: { name }, source: instanceId, severity: 'critical' },
      message: `processes of server '${name}' could not be proven dead (${survivors.length}): they keep their slot`,
      action: 'look at these processes (they may hang in the kernel); the pool looks again every 30 s',
      data: { pids: survivors.slice(0, 10).map(({ pid }) => pid) },
    }),
  'server:stopped': ({ name, instanceId }) =>
    OF_A_TREE.flatMap(({ kind, part }) => resolved(kind, { name, part }, instanceId)),
  'breaker:opened': ({ name, cooldown, error: { code } }) =>
    raised({
      ...{ kind: 'breaker-open', subject: { name }, severity: 'critical' },
      message: `server '${name}' failed too often (last with ${code}), and is not started now`,
      action: 'read lastFailure of the server in status(); when it is mended, call resetBreaker()',
      data: { code, cooldown: Number.isFinite(cooldown) ? cooldown : 'until it is reset' },
    }),
  'breaker:closed': ({ name }, { isBroken }) => (isBroken(name) ? [] : resolved('breaker-open', { name })),
  'health:changed': ({ id, name, to, reason, action }) => {
    // One that has missed a check may still be what it was before.
    if (to === 'degraded') return [];
    if (to !== 'unhealthy') return resolved('unresponsive', { name }, id);
    return raised({
      ...{ kind: 'unresponsive', subject: { name }, source: id, severity: 'critical' },
      message: `server '${name}' does not answer: ${reason}`,
      ...(action !== '' && { action }),
    });
  },
  'stuck:detected': stuck,
  'lease:leaked': ({ name, leaseId, held }) =>
    raised({
      ...{
        kind: 'leak',
        subject: { name, part: 'lease' },
        source: leaseId,
        severity: 'warning',
        lasts: LASTS.leakedLease,
      },
      message: `a lease on server '${name}' is held for ${Math.round(held / 1_000)} s`,
      action: 'see the stack of lease:leaked for the call of getServer() that does not release it',
      data: { held },
    }),
  'leak:confirmed': ({ name, instanceId, slopeMBPerHour }) =>
    raised({
      ...{
        kind: 'leak',
        subject: { name, part: 'memory' },
        source: instanceId,
        severity: 'warning',
        lasts: LASTS.leak,
      },
      message: `the memory of server '${name}' grows by ${Math.round(slopeMBPerHour)} MB an hour, and does not come back`,
      action: 'set restartOnMemoryLeak or maxLifetime of the server until its leak is mended',
      data: { slopeMBPerHour },
    }),
  'limit:exceeded': (event) => {
    const { severity, unit, action } = LIMITS[event.kind];
    const { value, limit } = event;
    return raised({
      ...{ ...placeOf(event), severity, action, data: { limit: event.kind, value, of: limit } },
      message: `${subjectInWords(event)} more than may be: ${Math.round(value)} of ${limit} ${unit}`,
    });
  },
  'limit:recovered': (event) => [{ resolve: placeOf(event) }],
  'level:changed': ({ to, by, measured, threshold, names }) => {
    const [kind, other] = by === 'memory' ? MEMORY_LEVEL : PROCESS_LEVEL;
    if (to === 'normal') return [kind, other].flatMap((one) => resolved(one, {}, 'level'));
    return [
      ...resolved(other, {}, 'level'),
      ...raised({
        ...{ kind, source: 'level', severity: LEVEL_SEVERITY[to] },
        message: `the level of the pool is ${to}: ${Math.round(measured)} ${by === 'memory' ? 'MB' : 'unexpected processes'}`,
        action: "see plan('level') for what the level ends, and status() for the servers that have most",
        data: { level: to, measured, threshold, names: names.slice(0, 10).map(shortened) },
      }),
    ];
  },
  // Servers that are started together grow, too: the levels say whether it was expected.
  'growth:detected': ({ processes, within, names }) =>
    raised({
      ...{ kind: 'explosion', source: 'growth', severity: 'info', lasts: LASTS.growth },
      message: `${processes} processes came within ${Math.round(within / 1_000)} s`,
      action: 'see whether the servers that grow were to start',
      data: { processes, within, names: names.slice(0, 10).map(shortened) },
    }),
  // An effect, and not the cause of anything: so it is an alert of a part, which silences none.
  'queue:rejected': ({ name, code, waited }) => {
    if (code !== 'QUEUE_FULL' && code !== 'ACQUIRE_TIMEOUT') return [];
    const isFull = code === 'QUEUE_FULL';
    return raised({
      ...{ kind: 'process-limit', severity: 'warning', lasts: LASTS.refusal },
      subject: { ...(isFull ? {} : { name }), part: 'callers' },
      message: isFull ? 'too many callers wait for a server' : `callers get no server '${name}' in time`,
      action: 'see status() for leases that are held and starts that hang; raise maxInstances or limits.maxProcesses',
      data: { code, waited },
    });
  },
  'service-level:breached': ({ level, name, target, actual, burnRate, budgetLeft }) =>
    raised({
      ...{ kind: 'service-level', subject: { name, part: level } },
      // Callers that wait for longer are served in the end.
      severity: level === 'acquireTime' ? 'warning' : 'critical',
      message: `the service level ${level} of ${name === undefined ? 'the pool' : `server '${name}'`} is not kept: ${Math.round(actual * 100) / 100} in place of ${target}`,
      action: 'see serviceLevels() for what uses up the budget, and the other alerts for the cause',
      data: { target, actual, burnRate, budgetLeft },
    }),
  'service-level:recovered': ({ level, name }) => resolved('service-level', { name, part: level }),
};

/** To be reported as long as it is stuck. */
export function stuck({ kind, name, instanceId, age, method, tool }: StuckEvent): readonly AlertChange[] {
  // A session may rest. Where another caller needs its lease, the pool takes it back.
  if (kind === 'lease') return [];
  return raised({
    ...{ kind: 'stuck', subject: { name, part: kind }, severity: 'warning', lasts: LASTS.stuck },
    source: instanceId,
    message: `a ${kind} of server '${name}' has not ended for ${Math.round(age / 1_000)} s`,
    action: 'look at what the server does; restart() replaces it',
    data: { age, method, tool },
  });
}

function raised(raise: AlertReport): AlertChange[] {
  return [{ raise }];
}

function resolved(kind: AlertKind, subject: AlertSubject, source?: string): AlertChange[] {
  return [{ resolve: { kind, subject, source } }];
}

/**
 * Which condition an exceeded limit is. The memory of all servers is one of the whole pool. That of the machine and the CPU time
 * of all are not the cause of what a server does: so they are alerts of a part, which silence none.
 */
function placeOf({
  kind: limit,
  name,
  instanceId,
  path,
}: LimitEvent): Pick<AlertReport, 'kind' | 'subject' | 'source'> {
  const { kind } = LIMITS[limit];
  if (path !== undefined) return { kind, subject: { part: path } };
  if (name !== undefined) return { kind, subject: { name, part: limit }, source: instanceId };
  return limit === 'total-memory' ? { kind, source: limit } : { kind, subject: { part: limit } };
}

function subjectInWords({ kind, name, path }: LimitEvent): string {
  if (kind === 'host-memory') return 'the machine uses';
  if (path !== undefined) return `folder ${path} uses`;
  return name === undefined ? 'all servers together use' : `server '${name}' uses`;
}
