import { type SafeEmitter, tap } from '../../events.js';
import type { AlertManager } from '../../health/alerts/alert-manager.js';
import type { StuckEvent } from '../../health/health-events.js';
import type { PoolEvents } from '../events.js';
import { ownFault } from '../refusals.js';
import { type AlertChange, RULES, stuck } from './alert-rules.js';

/** Reports to the alerts of a pool what happens in it. A host cannot switch it off by `removeAllListeners()`. */
export function alertsOfEvents(pool: SafeEmitter<PoolEvents>, alerts: AlertManager): void {
  tap(pool, Object.keys(RULES) as (keyof PoolEvents)[], (event, payload) => {
    try {
      report(alerts, RULES[event]?.(payload as never) ?? []);
    } catch (fault) {
      // No rule may keep the listeners of the host from their event.
      if (event !== 'internal:error') pool.emit('internal:error', { error: ownFault(fault) });
    }
  });
}

/** What was stuck before is so still. Its event comes once; its alert lasts as long as it is reported. */
export function stillStuck(alerts: AlertManager, event: StuckEvent): void {
  report(alerts, stuck(event));
}

function report(alerts: AlertManager, changes: readonly AlertChange[]): void {
  for (const change of changes) {
    if ('raise' in change) alerts.raise(change.raise);
    else alerts.resolve(change.resolve);
  }
}
