import { createHistogram } from 'node:perf_hooks';
import type { HealthStatus } from '../../health/health-status.js';
import type { MonitorLoop } from '../../monitor/monitor-loop.js';
import type { CleanupReport } from '../../process/cleanup-queue.js';
import type { Clock } from '../../runtime/clock.js';
import type { Fleet } from '../instances/fleet.js';
import type { PoolCounts, PoolMetrics } from '../metrics.js';

export interface MetricsDeps {
  readonly clock: Clock;
  readonly life: { readonly madeAt: number };
  readonly counts: PoolCounts;
  readonly cleanups: CleanupTimes;
  readonly fleet: Fleet;
  readonly monitorLoop: MonitorLoop;
  readonly poolHealth: { statusOf(instanceId: string): HealthStatus | undefined };
}

/** How long the ends of trees took. Nothing is kept but a histogram. */
export class CleanupTimes {
  readonly #times = createHistogram();
  #failed = 0;

  /** A tree is proven dead, or was given up. */
  add({ confirmed, duration }: CleanupReport): void {
    if (confirmed) this.#times.record(Math.max(1, Math.round(duration)));
    else this.#failed += 1;
  }

  get successRate(): number {
    const { count } = this.#times;
    return count + this.#failed === 0 ? 1 : count / (count + this.#failed);
  }

  get percentiles(): { readonly p50: number; readonly p95: number } {
    if (this.#times.count === 0) return { p50: 0, p95: 0 };
    return { p50: this.#times.percentile(50), p95: this.#times.percentile(95) };
  }
}

export function metricsOf({ clock, life, counts, cleanups, fleet, monitorLoop, poolHealth }: MetricsDeps): PoolMetrics {
  const { counted, counts: done } = monitorLoop;
  const living = new Map([...fleet.instances()].map(({ id, state }) => [id, state]));
  const ready = [...fleet.instances()].filter(({ state }) => state === 'ready');
  const active = ready.length;
  const unhealthy = ready.filter(({ id }) => poolHealth.statusOf(id) === 'unhealthy').length;
  // No later sample takes out what has ended, once the pool is closed or the monitor stopped.
  const trees = counted.filter(({ id }) => living.has(id));
  const sum = { processes: 0, memoryMB: 0, cpuPercent: 0 };
  const byType: Record<string, number> = Object.create(null);
  for (const { name, processes, memoryMB, cpuPercent = 0 } of trees) {
    sum.processes += processes;
    sum.memoryMB += memoryMB;
    sum.cpuPercent += cpuPercent;
    byType[name] = (byType[name] ?? 0) + processes;
  }
  return {
    ...counts,
    limitViolations: done.violations,
    monitorActions: done.actions,
    totalProcesses: sum.processes,
    activeProcesses: active,
    healthyProcesses: active - unhealthy,
    memoryUsageMB: sum.memoryMB,
    averageCpuUsage: sum.cpuPercent / Math.max(1, trees.length),
    uptimeMinutes: (clock.now() - life.madeAt) / 60_000,
    processCountByType: { ...byType },
    cleanupSuccessRate: cleanups.successRate,
    cleanupTime: cleanups.percentiles,
  };
}
