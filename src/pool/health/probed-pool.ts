import type { HealthStatus } from '../../health/health-status.js';
import type { ProbedServer, ProbedState } from '../../health/probe-verdict.js';
import type { Clock } from '../../runtime/clock.js';
import type { Fleet } from '../instances/fleet.js';
import type { ServerEntry } from '../instances/server-entry.js';
import type { Breakers } from '../supervision/breakers.js';

export interface ProbedPoolDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly breakers: Breakers;
}

/** A pool as a probe sees it. What one tenant has broken does not concern the others. */
export function probedPool(
  { clock, fleet, breakers }: ProbedPoolDeps,
  statusOf: (instanceId: string) => HealthStatus | undefined,
): ProbedState {
  const { overload, shortage, preflight } = fleet.gate;
  const isHostShort = preflight.stateAt(clock.now()) === 'unmet';
  const held =
    (overload && `new starts are refused: the pool is at level '${overload.level}'`) ??
    (shortage && 'new starts wait for memory') ??
    (isHostShort ? 'the host lacks what new starts require (limits.requires)' : undefined);
  const servers = [...fleet.entries.values()].filter(({ definition }) => definition !== undefined);
  return {
    closed: fleet.isOpen ? undefined : 'it is shut down',
    held,
    servers: servers.map((entry) => probedServer(entry, breakers, statusOf)),
  };
}

function probedServer(
  { name, isEssential, instances, lastFailure }: ServerEntry,
  breakers: Breakers,
  statusOf: (instanceId: string) => HealthStatus | undefined,
): ProbedServer {
  const ready = [...instances].filter(({ state }) => state === 'ready');
  return {
    ...{ name, isEssential },
    instances: ready.map(({ id }) => statusOf(id)),
    isRestarting: [...instances].some(({ state, leases }) => state === 'starting' && leases > 0),
    isRefused: breakers.statusOf(name).some(({ tenant, state }) => tenant === undefined && state === 'open'),
    lastFailure: lastFailure?.error.code,
  };
}
