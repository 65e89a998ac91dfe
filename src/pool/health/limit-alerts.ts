import type { AlertKind, AlertSeverity } from '../../config/alert.js';
import type { AlertCondition, AlertReport } from '../../config/alert-report.js';
import type { LimitEvent, LimitKind } from '../../monitor/monitor-events.js';

const CPU = '% of a core';

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

/** A limit is exceeded. */
export function limitReport(event: LimitEvent): AlertReport {
  const { severity, unit, action } = LIMITS[event.kind];
  const { value, limit } = event;
  return {
    ...{ ...limitCondition(event), severity, action, data: { limit: event.kind, value, of: limit } },
    message: `${subjectInWords(event)} more than may be: ${Math.round(value)} of ${limit} ${unit}`,
  };
}

/**
 * Which condition an exceeded limit is. The memory of all servers is one of the whole pool. That of the machine and the CPU time
 * of all are not the cause of what a server does: so they are alerts of a part, which silence none.
 */
export function limitCondition({ kind: limit, name, instanceId, path }: LimitEvent): AlertCondition {
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
