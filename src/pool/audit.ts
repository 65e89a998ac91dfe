import type { ResolvedAudit } from '../config/audit-options.js';
import { type SafeEmitter, tap } from '../events.js';
import { AUDITED_EVENTS } from '../monitor/audit/audit-record.js';
import { AuditTrail } from '../monitor/audit/audit-trail.js';
import type { Clock } from '../runtime/clock.js';
import type { PoolEvents } from './events.js';

/** Writes what a pool does to its audit trail. A host cannot switch it off by `removeAllListeners()`. */
export function auditEvents(
  pool: SafeEmitter<PoolEvents>,
  { path, ...limits }: ResolvedAudit,
  clock: Clock,
): AuditTrail | undefined {
  if (path === undefined) return undefined;
  const trail = new AuditTrail({ path, ...limits }, (failure) => pool.emit('audit:failed', failure), { clock });
  tap(pool, AUDITED_EVENTS as (keyof PoolEvents)[], (event, payload) => trail.record(event, payload));
  // So that a path which cannot be written to is reported at once.
  trail.record('pool:opened', {});
  return trail;
}
