import type { OpenMetricsContentType, Registry } from 'prom-client';
import { BoundedNames } from './exporters/bounded-names.js';
import { FIGURES, TENANT_FIGURES } from './exporters/figures.js';
import { OwnMetrics } from './exporters/own-metrics.js';
import { MOST_SERVERS } from './exporters/server-label.js';
import { type Snapshot, takeSnapshot } from './exporters/snapshot.js';
import { Traffic } from './exporters/traffic.js';
import { type MCPServerPool, PoolError } from './index.js';

/** Options of {@link collectPool}. */
export interface CollectOptions {
  /** A registry of prom-client 15, which the host prints at its `/metrics`. */
  readonly register: Registry | Registry<OpenMetricsContentType>;
  /** Begins the name of each metric. Default: `mcp_pool_`. Each pool of one registry needs its own. */
  readonly prefix?: string | undefined;
  /**
   * How many tenants get figures of their own (`tenant_…`), by a label `tenant`; those beyond are `other`. At most 1,000.
   * Default: 0, no metric has such a label.
   */
  readonly tenantLabels?: number | undefined;
}

const MOST_TENANTS = 1_000;

/**
 * Adds the metrics of a pool to a registry of prom-client. Gauges and the counters of the pool are read when the registry is
 * printed; what a call or a request took is counted when it ends. Nothing runs between the two.
 * @returns a function that takes the metrics out of the registry, and counts no more
 * @throws PoolError `INVALID_OPTIONS`; the error of prom-client when the registry has a metric of one of the names, for example
 *   of another pool: then set `prefix`
 */
export function collectPool(pool: MCPServerPool, options: CollectOptions): () => void {
  const { register, prefix, tenantLabels } = checked(pool, options ?? ({} as CollectOptions));
  const metrics = new OwnMetrics(register, prefix);
  try {
    const servers = new BoundedNames(MOST_SERVERS, {
      onAdded: (server) => traffic.addServer(server),
      onForgotten: (server) => traffic.forgetServer(server),
    });
    const tenants =
      tenantLabels > 0
        ? new BoundedNames(tenantLabels, { onForgotten: (tenant) => traffic.forgetTenant(tenant) })
        : undefined;
    const labels = { servers, tenants };
    const snapshot = oncePerTurn(() => takeSnapshot(pool, labels));
    for (const figure of tenants ? [...FIGURES, ...TENANT_FIGURES] : FIGURES) metrics.figure(figure, snapshot);
    // After them: the look at the pool, at the first of them, decides which servers and tenants there are.
    const traffic = new Traffic(metrics, tenants !== undefined);
    const stop = traffic.count(pool, labels);
    return () => {
      stop();
      metrics.remove();
    };
  } catch (error) {
    metrics.remove();
    throw error;
  }
}

/** All metrics of a registry are read in one turn of the event loop: they share one look at the pool. */
function oncePerTurn(take: () => Snapshot): () => Snapshot {
  let latest: Snapshot | undefined;
  return () => {
    if (latest === undefined) {
      latest = take();
      queueMicrotask(() => {
        latest = undefined;
      });
    }
    return latest;
  };
}

function checked(pool: MCPServerPool, { register, prefix = 'mcp_pool_', tenantLabels = 0 }: CollectOptions) {
  const problems: string[] = [];
  if (typeof pool?.status !== 'function') problems.push('the pool must be a MCPServerPool');
  if (typeof register?.registerMetric !== 'function') problems.push('register must be a Registry of prom-client');
  if (typeof prefix !== 'string' || !/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(prefix))
    problems.push('prefix must begin the name of a metric: letters, digits and _, no digit first');
  if (!Number.isInteger(tenantLabels) || tenantLabels < 0 || tenantLabels > MOST_TENANTS)
    problems.push(`tenantLabels must be a whole number from 0 to ${MOST_TENANTS}`);
  if (problems.length === 0) return { register, prefix, tenantLabels };
  throw new PoolError('INVALID_OPTIONS', `the options of collectPool() are wrong: ${problems.join('; ')}`, {
    problems,
  });
}
