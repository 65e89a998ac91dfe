import type { MCPServerPool, MonitoringOptions, PoolEvents } from '../../src/index.js';
import { isLiving } from './processes.js';
import { record } from './real-pool.js';
import { until } from './until.js';

/** Samples and windows that let a real server be seen in seconds. */
export const QUICK = {
  interval: 200,
  windows: { long: 1_500, short: 500 },
  // The memory of the machine that runs the test must not matter.
  hostMemoryPercent: 100,
} as const satisfies MonitoringOptions;

/** What a pool tells of the costs of its servers, from now on. */
export function watchCosts(pool: MCPServerPool) {
  return {
    exceeded: record(pool, 'limit:exceeded'),
    recovered: record(pool, 'limit:recovered'),
    actions: record(pool, 'action:taken'),
    stopping: record(pool, 'server:stopping'),
    levels: record(pool, 'level:changed'),
    growth: record(pool, 'growth:detected'),
    degraded: record(pool, 'monitor:degraded'),
  };
}

/** An action without what differs from run to run: ids, and figures in the reason. */
export function plain({ action, name, level, reason, dryRun }: PoolEvents['action:taken']) {
  return { action, name, level, reason: reason.replace(/\d+/g, 'N'), dryRun };
}

/** Resolves when the process has died. */
export async function gone(pid: number): Promise<void> {
  await until(`${pid} is gone`, () => !isLiving(pid));
}
