import { describeValue } from '../config/fields.js';
import { nearest } from '../config/nearest.js';
import { PoolError } from '../errors.js';
import type { PoolEvents } from './events.js';

/** Fails to compile when an event is missing. */
const EVENTS: Readonly<Record<keyof PoolEvents, true>> = {
  'server:starting': true,
  'server:ready': true,
  'server:failed': true,
  'server:exited': true,
  'server:restarting': true,
  'server:restarted': true,
  'tools:changed': true,
  'capability:undeclared': true,
  'breaker:opened': true,
  'breaker:half-opened': true,
  'breaker:closed': true,
  'server:draining': true,
  'server:stopping': true,
  'server:stopped': true,
  'server:quarantined': true,
  'server:stderr': true,
  'server:noise': true,
  'lease:acquired': true,
  'lease:released': true,
  'lease:moved': true,
  'lease:reclaimed': true,
  'lease:leaked': true,
  'queue:waiting': true,
  'queue:served': true,
  'queue:rejected': true,
  'limit:reached': true,
  'level:changed': true,
  'limit:exceeded': true,
  'limit:recovered': true,
  'growth:detected': true,
  'leak:suspected': true,
  'leak:confirmed': true,
  'action:taken': true,
  'monitor:degraded': true,
  'health:changed': true,
  'health:checked': true,
  'stuck:detected': true,
  'alert:raised': true,
  'alert:repeated': true,
  'alert:escalated': true,
  'alert:acknowledged': true,
  'alert:resolved': true,
  'alert:dropped': true,
  'orphan:reaped': true,
  'containment:degraded': true,
  'service-level:breached': true,
  'service-level:recovered': true,
  'audit:failed': true,
  'config:applied': true,
  'config:rejected': true,
  'config:pool-changed': true,
  'drill:started': true,
  'drill:finished': true,
  'package:resolving': true,
  'package:resolved': true,
  'package:check-failed': true,
  'package:fallback': true,
  'config:warned': true,
  'pool:draining': true,
  'pool:closed': true,
  'internal:error': true,
  'listener:error': true,
  'cleanup:started': true,
  'signal:sent': true,
  'cleanup:escalated': true,
  'cleanup:finished': true,
  'cleanup:failed': true,
};

/** The names of all events of a pool. */
export const POOL_EVENTS: readonly (keyof PoolEvents)[] = Object.freeze(Object.keys(EVENTS) as (keyof PoolEvents)[]);

/**
 * Refuses what is no event of a pool: a call that waits for it would wait for ever, and hold the host open.
 * @throws PoolError `INVALID_OPTIONS`
 */
export function checkEventName(event: unknown): void {
  if (typeof event === 'string' && Object.hasOwn(EVENTS, event)) return;
  const [near] = typeof event === 'string' ? nearest(event, POOL_EVENTS, 1) : [];
  const hint = near === undefined ? 'POOL_EVENTS lists them' : `did you mean '${near}'?`;
  const shown = typeof event === 'string' && event.length <= 100 ? `'${event}'` : describeValue(event);
  const problem = `event must be the name of an event of the pool, got ${shown}; ${hint}`;
  throw new PoolError('INVALID_OPTIONS', `the call of waitFor() was refused: ${problem}`, { problems: [problem] });
}
