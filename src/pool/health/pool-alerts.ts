import { type SafeEmitter, tap } from '../../events.js';
import type { AlertManager } from '../../health/alerts/alert-manager.js';
import type { PoolEvents } from '../events.js';
import type { Breakers } from '../supervision/breakers.js';
import { type PoolFacts, RULES } from './alert-rules.js';

export interface PoolAlertsDeps {
  readonly alerts: AlertManager;
  readonly breakers: Pick<Breakers, 'statusOf'>;
}

/** Reports to the alerts of a pool what happens in it. A host cannot switch it off by `removeAllListeners()`. */
export function alertsOfEvents(pool: SafeEmitter<PoolEvents>, { alerts, breakers }: PoolAlertsDeps): void {
  const facts: PoolFacts = { isBroken: (name) => breakers.statusOf(name).some(({ state }) => state !== 'closed') };
  tap(pool, Object.keys(RULES) as (keyof PoolEvents)[], (event, payload) => {
    for (const change of RULES[event]?.(payload as never, facts) ?? []) {
      if ('raise' in change) alerts.raise(change.raise);
      else alerts.resolve(change.resolve);
    }
  });
}
