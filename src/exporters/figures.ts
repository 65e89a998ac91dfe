import type { AlertKind, AlertSeverity, Level } from '../index.js';
import type { ServerFigures, Snapshot, TenantFigures } from './snapshot.js';

/** Hands over one value of a figure, with the values of its labels in their order. */
export type Put = (value: number, ...labels: string[]) => void;

/** One figure of a pool, for whatever system of metrics. */
export interface Figure {
  /** Without prefix, unit, and what a system adds to the names of counters. */
  readonly name: string;
  /** `counter`: it only grows, from the begin of the pool. */
  readonly kind: 'counter' | 'gauge';
  /** Undefined for a plain number. */
  readonly unit: 'bytes' | 'cores' | 'ratio' | 'seconds' | undefined;
  readonly help: string;
  readonly labels: readonly string[];
  read(snapshot: Snapshot, put: Put): void;
}

const MB = 1_048_576;
const PERCENT = 100;
// Written again, since an exporter imports nothing of the package but its types: a value would be a second copy of it. A test compares.
const SEVERITIES = ['info', 'warning', 'critical'] as const satisfies readonly AlertSeverity[];
const KINDS = [
  'process-limit',
  'memory-pressure',
  'process-failure',
  'unresponsive',
  'resource-violation',
  'cleanup-failure',
  'leak',
  'stuck',
  'breaker-open',
  'explosion',
  'service-level',
] as const satisfies readonly AlertKind[];
const LEVELS = ['normal', 'warning', 'critical', 'nuclear', 'emergency'] as const satisfies readonly Level[];

/** What is exported of each pool. */
export const FIGURES: readonly Figure[] = [
  gauge(
    'slots_used',
    'Slots that are taken: by process trees that start, run, stop or are not proven dead.',
    ({ status }) => status.processes,
  ),
  gauge('slots_limit', 'Slots that there are (limits.maxProcesses).', ({ status }) => status.maxProcesses),
  gauge('idle_instances', 'Instances that are idle.', ({ status }) => status.idle),
  gauge('leases', 'Leases that are held.', ({ status }) => status.leases),
  gauge('waiting_callers', 'Calls of getServer() that wait.', ({ status }) => status.waiting),
  gauge(
    'waiting_starts',
    'Starts that wait for their turn (limits.concurrentStarts).',
    ({ status }) => status.startsWaiting,
  ),
  gauge('level', 'Level of the pool: 0 normal, 1 warning, 2 critical, 3 nuclear, 4 emergency.', ({ status }) =>
    LEVELS.indexOf(status.level),
  ),
  gauge('os_processes', 'Processes of all trees, in the last sample.', ({ metrics }) => metrics.totalProcesses),
  gauge(
    'unexpected_processes',
    'Processes beyond those that healthy trees need, in the last sample.',
    ({ sample }) => sample?.totals.unexpected,
  ),
  gauge(
    'memory',
    'Unique memory of all trees, in the last sample.',
    ({ metrics }) => metrics.memoryUsageMB * MB,
    'bytes',
  ),
  gauge(
    'host_memory_available',
    'Memory that processes of this host can still get.',
    ({ sample }) => inBytes(sample?.host.memory?.availableMB),
    'bytes',
  ),
  gauge(
    'host_memory_total',
    'Memory of the machine, or the smallest limit around this host.',
    ({ sample }) => inBytes(sample?.host.memory?.totalMB),
    'bytes',
  ),
  gauge('uptime', 'Time since the pool was made.', ({ metrics }) => metrics.uptimeMinutes * 60, 'seconds'),
  gauge(
    'cleanup_success',
    'Share of the ends of trees that were proven; 1 before the first.',
    ({ metrics }) => metrics.cleanupSuccessRate,
    'ratio',
  ),
  {
    ...{ name: 'alerts', kind: 'gauge', unit: undefined, labels: ['kind', 'severity'] },
    help: 'Alerts of the pool that are raised and not resolved.',
    read: ({ alerts }, put) => {
      const count = (kind: AlertKind, severity: AlertSeverity) =>
        alerts.filter((alert) => alert.kind === kind && alert.severity === severity).length;
      for (const kind of KINDS) for (const severity of SEVERITIES) put(count(kind, severity), kind, severity);
    },
  },
  counter('starts', 'Process trees that were spawned.', ({ metrics }) => metrics.started),
  counter('start_failures', 'Starts that failed.', ({ metrics }) => metrics.startFailures),
  counter('crashes', 'Exits that the pool had not asked for.', ({ metrics }) => metrics.crashes),
  counter('restarts', 'Servers that were started again for their leases.', ({ metrics }) => metrics.restarts),
  counter('ends', 'Process trees that were proven dead.', ({ metrics }) => metrics.stopped),
  counter(
    'quarantines',
    'Process trees that could not be proven dead, even if they were later.',
    ({ metrics }) => metrics.quarantined,
  ),
  counter('leases_acquired', 'Leases that were given out.', ({ metrics }) => metrics.acquired),
  counter('leases_released', 'Leases that ended, for whatever reason.', ({ metrics }) => metrics.released),
  counter('leases_reclaimed', 'Leases that the pool took back.', ({ metrics }) => metrics.reclaimed),
  counter('leases_leaked', 'Leases that were held for longer than leakDetection.', ({ metrics }) => metrics.leaked),
  counter(
    'rejected_calls',
    'Calls of getServer() that were refused, gave up or failed.',
    ({ metrics }) => metrics.rejected,
  ),
  counter(
    'evictions',
    'Idle trees that were ended because a caller needed their slot.',
    ({ metrics }) => metrics.evicted,
  ),
  counter('limit_violations', 'Limits that were exceeded.', ({ metrics }) => metrics.limitViolations),
  counter('monitor_actions', 'What the monitor has done.', ({ metrics }) => metrics.monitorActions),
  ofServers('idle_instances', 'Instances of the server that are idle.', ({ idle }) => idle),
  ofServers('leases', 'Leases on the server.', ({ leases }) => leases),
  ofServers('waiting_callers', 'Calls of getServer() that wait for the server.', ({ waiting }) => waiting),
  ofServers('open_requests', 'Requests that the server has not answered.', ({ openRequests }) => openRequests),
  ofServers('os_processes', 'Processes of the trees of the server, in the last sample.', ({ processes }) => processes),
  ofServers('open_breakers', 'Breakers of the server that are open or half-open.', ({ openBreakers }) => openBreakers),
  ofServers('memory', 'Unique memory of the server, in the last sample.', ({ memoryMB }) => memoryMB * MB, 'bytes'),
  ofServers('cpu', 'CPU of the server, in the last sample.', ({ cpuPercent }) => cpuPercent / PERCENT, 'cores'),
  ofServersBy('instances', 'state', 'Process trees of the server, by state.', ({ states }) => states),
  ofServersBy(
    'health',
    'status',
    'Instances of the server that were checked, by what their health is.',
    ({ health }) => health,
  ),
];

/** What is exported besides, where tenants get figures of their own. */
export const TENANT_FIGURES: readonly Figure[] = [
  ofTenants('instances', 'Process trees that serve the tenant.', ({ instances }) => instances),
  ofTenants('leases', 'Leases of the tenant.', ({ leases }) => leases),
];

type Value = (snapshot: Snapshot) => number | undefined;

function gauge(name: string, help: string, value: Value, unit?: Figure['unit']): Figure {
  return ofPool('gauge', name, help, value, unit);
}

function counter(name: string, help: string, value: Value): Figure {
  return ofPool('counter', name, help, value, undefined);
}

function ofPool(kind: Figure['kind'], name: string, help: string, value: Value, unit: Figure['unit']): Figure {
  const read = (snapshot: Snapshot, put: Put) => {
    const known = value(snapshot);
    if (known !== undefined) put(known);
  };
  return { kind, name, help, unit, labels: [], read };
}

function ofServers(
  name: string,
  help: string,
  value: (server: ServerFigures) => number,
  unit?: Figure['unit'],
): Figure {
  const read = ({ servers }: Snapshot, put: Put) => {
    for (const [label, server] of servers) put(value(server), label);
  };
  return { kind: 'gauge', name: `server_${name}`, help, unit, labels: ['server'], read };
}

/** One value for each part of a server. */
function ofServersBy(
  name: string,
  by: string,
  help: string,
  parts: (server: ServerFigures) => Readonly<Record<string, number>>,
): Figure {
  const read = ({ servers }: Snapshot, put: Put) => {
    for (const [label, server] of servers) {
      for (const [part, count] of Object.entries(parts(server))) put(count, label, part);
    }
  };
  return { kind: 'gauge', name: `server_${name}`, help, unit: undefined, labels: ['server', by], read };
}

function ofTenants(name: string, help: string, value: (tenant: TenantFigures) => number): Figure {
  const read = ({ tenants }: Snapshot, put: Put) => {
    for (const [label, tenant] of tenants) put(value(tenant), label);
  };
  return { kind: 'gauge', name: `tenant_${name}`, help, unit: undefined, labels: ['tenant'], read };
}

function inBytes(megabytes: number | undefined): number | undefined {
  return megabytes === undefined ? undefined : megabytes * MB;
}
