import { errnoOf } from '../../errors.js';
import { quoted } from '../../runtime/quoted.js';

/** One line of the trail. `at`: ISO 8601, UTC. `host`: the pid of the host process. */
export interface AuditRecord {
  readonly at: string;
  readonly host: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** The pid of the host that writes, and when: ms since 1970. */
export interface AuditOrigin {
  readonly now: number;
  readonly host: number;
}

/** The last time that a Date can have. */
const LATEST = 8.64e15;
/** A longer list is cut. */
const MOST_ITEMS = 20;

/** What is read of a value. Anything else, such as an object in place of a text, is left out. */
type Reader = (value: unknown) => unknown;

const plain: Reader = (value) => {
  if (typeof value === 'string') return quoted(value);
  // JSON has no infinite numbers.
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  return typeof value === 'boolean' || value === null ? value : undefined;
};
const amount: Reader = (value) => (Array.isArray(value) ? value.length : plain(value));
const texts: Reader = (value) => (Array.isArray(value) ? value.slice(0, MOST_ITEMS).map(plain) : undefined);
/** Their programs without arguments; or how many there are. */
const processes: Reader = (value) => (Array.isArray(value) ? value.slice(0, MOST_ITEMS).map(identity) : plain(value));
/** The code alone: message, data and cause may quote output of the server. */
const code: Reader = (value) => (value instanceof Error ? (errnoOf(value) ?? value.name) : undefined);

/** What an alert is about. */
const subject: Reader = (value) => {
  const { name, part } = (value ?? {}) as { readonly name?: unknown; readonly part?: unknown };
  return { name: plain(name), part: plain(part) };
};

function identity(value: unknown): object {
  const { pid, command } = (value ?? {}) as { readonly pid?: unknown; readonly command?: unknown };
  return { pid: plain(pid), command: plain(command) };
}

const READERS = { amount, code, plain, processes, subject, texts };

/** Every field that a line can have, and how it is read. A field that is not here gets into no line. */
const FIELDS = {
  name: 'plain',
  instanceId: 'plain',
  previousInstanceId: 'plain',
  id: 'plain',
  pid: 'plain',
  leaseId: 'plain',
  leases: 'amount',
  reason: 'plain',
  error: 'code',
  exitCode: 'plain',
  signal: 'plain',
  unexpected: 'plain',
  outOfMemory: 'plain',
  duration: 'plain',
  delay: 'plain',
  cooldown: 'plain',
  timeout: 'plain',
  held: 'plain',
  silent: 'plain',
  mode: 'plain',
  attempt: 'plain',
  attempts: 'plain',
  escalated: 'plain',
  survivors: 'processes',
  processes: 'processes',
  hostPid: 'plain',
  part: 'plain',
  path: 'plain',
  rejected: 'plain',
  servers: 'amount',
  limit: 'plain',
  kind: 'plain',
  value: 'plain',
  from: 'plain',
  to: 'plain',
  level: 'plain',
  measured: 'plain',
  threshold: 'plain',
  by: 'plain',
  names: 'texts',
  within: 'plain',
  slopeMBPerHour: 'plain',
  action: 'plain',
  dryRun: 'plain',
  age: 'plain',
  method: 'plain',
  tool: 'plain',
  target: 'plain',
  actual: 'plain',
  burnRate: 'plain',
  budgetLeft: 'plain',
  package: 'plain',
  version: 'plain',
  previousVersion: 'plain',
  fault: 'plain',
  verdict: 'plain',
  detection: 'plain',
  restart: 'plain',
  subject: 'subject',
  severity: 'plain',
  count: 'plain',
  suppressed: 'plain',
  tier: 'plain',
  acknowledgedBy: 'plain',
  dropped: 'plain',
  source: 'plain',
  added: 'texts',
  updated: 'texts',
  removed: 'texts',
  file: 'plain',
  kept: 'texts',
  // Their number: sentences about a file of another program.
  problems: 'amount',
  changed: 'texts',
} as const satisfies Readonly<Record<string, keyof typeof READERS>>;

type FieldName = keyof typeof FIELDS;

const SERVER = ['name', 'instanceId', 'pid'] as const;
const ENDED = ['name', 'id', 'pid', 'attempts', 'escalated', 'duration', 'survivors'] as const;
const LEAK = ['name', 'instanceId', 'slopeMBPerHour'] as const;
const SERVICE_LEVEL = ['level', 'name', 'target', 'actual', 'burnRate', 'budgetLeft'] as const;
const LIMIT = ['kind', 'name', 'instanceId', 'path', 'value', 'limit'] as const;
const ALERT = ['id', 'kind', 'subject', 'severity', 'count', 'tier', 'acknowledgedBy'] as const;

/** Which events are written, and which fields of their payloads. */
export const AUDITED = {
  'server:starting': SERVER,
  'server:ready': [...SERVER, 'duration'],
  'server:failed': [...SERVER, 'error'],
  'server:exited': [...SERVER, 'exitCode', 'signal', 'unexpected', 'outOfMemory', 'leases'],
  'server:restarting': [...SERVER, 'error', 'delay', 'leases'],
  'server:restarted': [...SERVER, 'previousInstanceId', 'leases'],
  'server:draining': [...SERVER, 'reason', 'timeout', 'leases'],
  'server:stopping': [...SERVER, 'reason', 'leases'],
  'server:stopped': [...SERVER, 'reason'],
  'server:quarantined': SERVER,
  'breaker:opened': ['name', 'cooldown', 'error'],
  'breaker:half-opened': ['name'],
  'breaker:closed': ['name'],
  'lease:reclaimed': ['name', 'instanceId', 'leaseId', 'held', 'silent'],
  'cleanup:started': ['name', 'id', 'pid', 'mode', 'attempt'],
  'signal:sent': ['name', 'id', 'pid', 'attempt', 'signal', 'processes'],
  'cleanup:escalated': ['name', 'id', 'pid', 'reason'],
  'cleanup:finished': ENDED,
  'cleanup:failed': ENDED,
  'orphan:reaped': ['hostPid', 'processes', 'survivors', 'duration'],
  'containment:degraded': ['part', 'reason'],
  'limit:reached': ['name', 'limit', 'value'],
  'limit:exceeded': LIMIT,
  'limit:recovered': LIMIT,
  'level:changed': ['from', 'to', 'measured', 'threshold', 'by', 'names'],
  'growth:detected': ['processes', 'within', 'names'],
  'leak:suspected': LEAK,
  'leak:confirmed': LEAK,
  'monitor:degraded': ['part', 'reason'],
  'action:taken': ['action', 'level', 'reason', 'name', 'instanceId', 'path', 'dryRun'],
  // Their reasons may quote what a server has answered.
  'health:changed': ['name', 'id', 'from', 'to', 'silent'],
  'stuck:detected': ['kind', 'name', 'instanceId', 'leaseId', 'age', 'method', 'tool'],
  'service-level:breached': SERVICE_LEVEL,
  'service-level:recovered': SERVICE_LEVEL,
  'package:resolved': ['name', 'package', 'version', 'previousVersion', 'duration'],
  'package:fallback': ['name', 'reason'],
  'drill:started': [...SERVER, 'fault', 'leases'],
  'drill:finished': ['name', 'instanceId', 'fault', 'verdict', 'detection', 'restart'],
  'alert:raised': ALERT,
  'alert:repeated': [...ALERT, 'suppressed', 'reason'],
  'alert:escalated': [...ALERT, 'from'],
  'alert:acknowledged': ALERT,
  'alert:resolved': [...ALERT, 'suppressed', 'reason', 'duration'],
  'alert:dropped': ['kind', 'subject', 'severity', 'dropped'],
  'config:applied': ['source', 'added', 'updated', 'removed'],
  'config:rejected': ['file', 'kept', 'problems'],
  'config:pool-changed': ['file', 'changed'],
  'pool:draining': ['mode'],
  'pool:closed': ['mode', 'duration', 'leases', 'rejected', 'servers', 'survivors'],
  'internal:error': [...SERVER, 'error'],
} as const satisfies Readonly<Record<string, readonly FieldName[]>>;

/** The events that have a line. */
export const AUDITED_EVENTS = Object.keys(AUDITED);

/**
 * The line for one event. Only known fields of known events are copied, so what a later version adds to a payload gets into no
 * line by itself.
 */
export function auditRecord(event: string, payload: object, { now, host }: AuditOrigin): AuditRecord {
  const given = payload as Readonly<Record<string, unknown>>;
  const names = (AUDITED as Readonly<Record<string, readonly FieldName[]>>)[event] ?? [];
  const fields = names.map((name): [string, unknown] => [name, READERS[FIELDS[name]](given[name])]);
  return { at: timeOf(now), host, event, ...Object.fromEntries(fields) };
}

function timeOf(ms: number): string {
  return new Date(Math.abs(ms) <= LATEST ? ms : 0).toISOString();
}
