import type { HealthStatus } from './health-status.js';

/** What a route for probes answers: `down`: send no traffic to it, or restart it. */
export type ProbeStatus = 'ok' | 'degraded' | 'down';

/** One thing that a probe has looked at. */
export interface ProbeCheck {
  /** `pool`, or the name of a server. */
  readonly name: string;
  readonly status: ProbeStatus;
  /** In words. */
  readonly reason: string;
  /** What to do about it, in words; empty when nothing must be done. */
  readonly action: string;
}

/** Result of `health.verdict()`. */
export interface HealthVerdict {
  readonly status: ProbeStatus;
  readonly checks: readonly ProbeCheck[];
  /** Since when it is so, as far as probes have seen it, in ms since 1970. */
  readonly since: number;
}

/** One server, as a probe sees it. */
export interface ProbedServer {
  readonly name: string;
  /** Whether the host cannot do without it (`priority: 'essential'`). */
  readonly isEssential: boolean;
  /** The health of its instances that can be used; undefined for one that was not checked yet. */
  readonly instances: readonly (HealthStatus | undefined)[];
  /** Whether leases wait until one is started again. */
  readonly isRestarting: boolean;
  /** Whether starts are refused, because they have failed too often (`BREAKER_OPEN`). */
  readonly isRefused: boolean;
  /**
   * Code of the error of its last start; undefined when that succeeded. Not its message, which may quote the server: what a probe
   * answers is shown to whoever asks.
   */
  readonly lastFailure: string | undefined;
}

/** What a probe looks at. */
export interface ProbedState {
  /** Why nothing at all can be served; undefined when something can. */
  readonly closed: string | undefined;
  /** Why no server can be started now; undefined when one can. */
  readonly held: string | undefined;
  readonly servers: readonly ProbedServer[];
}

/**
 * Whether traffic should come. One server that the host can do without never makes it `down`; nor does a single one that is not
 * marked as essential.
 */
export function readinessOf({ closed, held, servers }: ProbedState): Omit<HealthVerdict, 'since'> {
  const checks = servers.map(checkOf);
  const pool: ProbeCheck = closed
    ? { name: 'pool', status: 'down', reason: closed, action: 'send traffic to another host' }
    : held
      ? { name: 'pool', status: 'degraded', reason: held, action: 'wait, or give it more room' }
      : { name: 'pool', status: 'ok', reason: 'it is open', action: '' };
  const isDown = (index: number) => checks[index]?.status === 'down';
  const essentialDown = servers.some(({ isEssential }, index) => isEssential && isDown(index));
  const allDown = servers.length > 1 && servers.every((_, index) => isDown(index));
  const all = [pool, ...checks];
  if (closed || essentialDown || allDown) return { status: 'down', checks: all };
  return { status: all.every(({ status }) => status === 'ok') ? 'ok' : 'degraded', checks: all };
}

/** Whether the host itself lives. Servers do not count: to restart the host would help none of them. */
export function livenessOf(): Omit<HealthVerdict, 'since'> {
  const check = { name: 'pool', status: 'ok', reason: 'its event loop runs', action: '' } as const;
  return { status: 'ok', checks: [check] };
}

function checkOf({ name, instances, isRestarting, isRefused, lastFailure }: ProbedServer): ProbeCheck {
  const bad = instances.filter((status) => status === 'unhealthy').length;
  const unsure = instances.filter((status) => status === 'degraded').length;
  const usable = instances.length - bad;
  if (isRefused && usable === 0) {
    const reason = `its starts are refused, since they have failed too often${lastFailure ? ` (${lastFailure})` : ''}`;
    return { name, status: 'down', reason, action: 'mend its definition, or wait for the next attempt' };
  }
  if (bad > 0 && usable === 0)
    return { name, status: 'down', reason: `none of ${bad} instances answers`, action: 'see health.status()' };
  if (bad + unsure > 0) {
    const reason = `${bad + unsure} of ${instances.length} instances do not answer as they should`;
    return { name, status: 'degraded', reason, action: 'see health.status()' };
  }
  if (instances.length === 0 && isRestarting)
    return { name, status: 'degraded', reason: 'it is being started again, and its leases wait', action: '' };
  if (instances.length === 0 && lastFailure !== undefined)
    return {
      name,
      status: 'degraded',
      reason: `its last start failed (${lastFailure})`,
      action: 'see lastFailure in status()',
    };
  const reason = instances.length === 0 ? 'it is started when it is needed' : 'its instances answer';
  return { name, status: 'ok', reason, action: '' };
}
