import type { AlertKind, AlertSeverity, AlertSubject } from '../../config/alert.js';
import type { AlertCondition, AlertReport } from '../../config/alert-report.js';
import type { StuckEvent } from '../../health/health-events.js';
import type { Level } from '../../monitor/level.js';
import { cut } from '../../runtime/cut.js';
import { wasEndedForFailure } from '../../server/end-reason.js';
import type { PoolEvents, ServerEvent } from '../events.js';
import { limitCondition, limitReport } from './limit-alerts.js';

/** What an event says of a condition: it holds, or is over. */
export type AlertChange = { readonly raise: AlertReport } | { readonly resolve: AlertCondition };

type Rules = {
  readonly [K in keyof PoolEvents]?: (payload: PoolEvents[K]) => readonly AlertChange[];
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
  /** After its cooldown a breaker lets the next caller try. Where none does, the server is not needed. */
  breaker: 60_000,
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

/** The data of an alert has a limit, and the name of a server has none. */
const shortened = (name: string) => cut(name, 200);

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

/** Which event of a pool raises or resolves which alert: the only place that says it. */
export const RULES: Rules = {
  'server:exited': ({ unexpected, exitCode, signal, ...server }) => {
    if (!unexpected) return [];
    const { name } = server;
    return raised({
      ...failureOf(server),
      message: `server '${name}' ended by itself (${signal ?? `exit code ${exitCode}`})`,
      action: 'read stderrTail of server:exited; the pool starts it again when it is needed',
      data: { exitCode, signal },
    });
  },
  'server:failed': ({ error: { code }, ...server }) =>
    raised({
      ...failureOf(server),
      message: `server '${server.name}' could not be started (${code})`,
      action: 'read lastFailure of the server in status(), and correct its definition or what it needs',
      data: { code },
    }),
  // It ran still, and the pool had to end it.
  'server:stopping': ({ reason, ...server }) => {
    if (!wasEndedForFailure(reason)) return [];
    return raised({
      ...failureOf(server),
      message: `server '${server.name}' was ended because it failed (${reason})`,
      action: 'see what it writes to stderr; the pool starts it again when it is needed',
      data: { reason },
    });
  },
  // A spare one serves any tenant. One that callers or leases wait for is for these.
  'server:ready': ({ name, tenant, instanceId, callers, leases }) => {
    const isSpare = tenant === undefined && callers.length === 0 && leases.length === 0;
    return [
      ...resolved('process-failure', { name }, isSpare ? undefined : sourceOf(tenant)),
      ...resolved('stuck', { name, part: 'start' }, instanceId),
    ];
  },
  'server:quarantined': ({ name, instanceId, report: { survivors } }) =>
    raised({
      ...{ kind: 'cleanup-failure', subject: { name }, source: instanceId, severity: 'critical' },
      message: `processes of server '${name}' could not be proven dead (${survivors.length}): they keep their slot`,
      action: 'look at these processes (they may hang in the kernel); the pool looks again every 30 s',
      data: { pids: survivors.slice(0, 10).map(({ pid }) => pid) },
    }),
  'server:stopped': ({ name, instanceId }) =>
    OF_A_TREE.flatMap(({ kind, part }) => resolved(kind, { name, part }, instanceId)),
  'breaker:opened': ({ name, tenant, variant, cooldown, error: { code } }) =>
    raised({
      ...{ kind: 'breaker-open', subject: { name }, source: sourceOf(tenant, variant), severity: 'critical' },
      ...(cooldown < Infinity && { lasts: cooldown + LASTS.breaker }),
      message: `server '${name}' failed too often (last with ${code}), and is not started now`,
      action: 'read lastFailure of the server in status(); when it is mended, call resetBreaker()',
      data: { code, cooldown: Number.isFinite(cooldown) ? cooldown : 'until it is reset' },
    }),
  'breaker:closed': ({ name, tenant, variant }) => resolved('breaker-open', { name }, sourceOf(tenant, variant)),
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
      ...{ kind: 'leak', subject: { name, part: 'lease' }, source: leaseId, severity: 'warning' },
      message: `a lease on server '${name}' is held for ${Math.round(held / 1_000)} s`,
      action: 'see the stack of lease:leaked for the call of getServer() that does not release it',
      data: { held },
    }),
  'lease:released': ({ leaked, name, leaseId }) => (leaked ? resolved('leak', { name, part: 'lease' }, leaseId) : []),
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
  'limit:exceeded': (event) => raised(limitReport(event)),
  'limit:recovered': (event) => [{ resolve: limitCondition(event) }],
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
      severity: 'critical',
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

/** A server has failed: for one tenant, since each has processes of its own. */
function failureOf({ name, tenant }: Pick<ServerEvent, 'name' | 'tenant'>) {
  const source = sourceOf(tenant);
  return { kind: 'process-failure', severity: 'warning', subject: { name }, source, lasts: LASTS.failure } as const;
}

/** Where it is undefined, not what other tenants have. */
function sourceOf(tenant: string | undefined, variant?: string): string {
  return variant === undefined ? (tenant ?? '') : `${tenant ?? ''}#${variant}`;
}

function raised(raise: AlertReport): AlertChange[] {
  return [{ raise }];
}

function resolved(kind: AlertKind, subject: AlertSubject, source?: string): AlertChange[] {
  return [{ resolve: { kind, subject, source } }];
}
