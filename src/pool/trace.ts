import { debuglog } from 'node:util';
import type { SafeEmitter } from '../events.js';
import type { PoolEvents } from './events.js';

/** Writes lines to stderr when the host was started with `NODE_DEBUG=mcp-server-pool`. */
const debug = debuglog('mcp-server-pool');

/** The main transitions of a pool. Output of servers is left out: it may hold secrets. */
const TRACED = [
  'server:starting',
  'server:ready',
  'server:failed',
  'server:exited',
  'server:restarting',
  'server:restarted',
  'server:draining',
  'server:stopping',
  'server:stopped',
  'server:quarantined',
  'lease:acquired',
  'lease:released',
  'lease:moved',
  'lease:reclaimed',
  'lease:leaked',
  'queue:waiting',
  'queue:served',
  'queue:rejected',
  'limit:reached',
  'breaker:opened',
  'breaker:half-opened',
  'breaker:closed',
  'cleanup:started',
  'cleanup:escalated',
  'cleanup:failed',
  'orphan:reaped',
  'containment:degraded',
  'audit:failed',
  'drill:started',
  'drill:finished',
  'config:applied',
  'config:rejected',
  'package:resolving',
  'package:resolved',
  'package:check-failed',
  'package:fallback',
  'config:warned',
  'pool:draining',
  'pool:closed',
  'listener:error',
  'internal:error',
] as const satisfies readonly (keyof PoolEvents)[];

/** The fields of a payload that a line shows. Tenants, owners and output of servers are left out: they may be confidential. */
const SHOWN = [
  'name',
  'instanceId',
  'id',
  'pid',
  'leaseId',
  'reason',
  'code',
  'limit',
  'delay',
  'waited',
  'held',
  'timeout',
  'mode',
];

/** Writes the main transitions of a pool to the debug log. Adds no listener when that is off, so it costs nothing then. */
export function traceEvents(pool: SafeEmitter<PoolEvents>): void {
  if (!debug.enabled) return;
  for (const event of TRACED) pool.on(event, (payload: object) => debug('%s %s', event, summary(payload)));
}

function summary(payload: object): string {
  const shown = Object.entries(payload).filter(([key, value]) => SHOWN.includes(key) && value !== undefined);
  // Of the leases that a call waits for only their number.
  const leases = 'leases' in payload && 'timeout' in payload && Array.isArray(payload.leases) ? payload.leases : [];
  if (leases.length > 0) shown.push(['leases', leases.length]);
  const error = 'error' in payload ? [['error', codeOf(payload.error)]] : [];
  return [...shown, ...error].map(([key, value]) => `${key}=${value}`).join(' ');
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error ? String(error.code) : error.name;
}
