import { debuglog } from 'node:util';
import type { SafeEmitter } from '../events.js';
import type { PoolEvents } from './events.js';

/** Writes lines to stderr when the host was started with `NODE_DEBUG=mcp-server-pool`. */
const debug = debuglog('mcp-server-pool');

/** The main transitions of a pool. Not among them: what servers write. */
const TRACED = [
  'server:starting',
  'server:ready',
  'server:failed',
  'server:exited',
  'server:restarting',
  'server:restarted',
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
  'pool:draining',
  'pool:closed',
  'listener:error',
  'internal:error',
] as const satisfies readonly (keyof PoolEvents)[];

/** What a line shows of a payload. Not among them: the labels of tenants and owners, and the output of servers. */
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
  'mode',
];

/** Writes the main transitions of a pool to the debug log, when that is enabled: only then it listens to events. */
export function traceEvents(pool: SafeEmitter<PoolEvents>): void {
  if (!debug.enabled) return;
  for (const event of TRACED) pool.on(event, (payload: object) => debug('%s %s', event, summary(payload)));
}

function summary(payload: object): string {
  const shown = Object.entries(payload).filter(([key, value]) => SHOWN.includes(key) && value !== undefined);
  const error = 'error' in payload ? [['error', codeOf(payload.error)]] : [];
  return [...shown, ...error].map(([key, value]) => `${key}=${value}`).join(' ');
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  return 'code' in error ? String(error.code) : error.name;
}
