import type { ResolvedPoolOptions } from '../config/options.js';
import { CleanupQueue } from '../process/cleanup-queue.js';
import { currentPlatform } from '../process/current-platform.js';
import type { Launcher } from '../process/launcher.js';
import { ProcessRegistry } from '../process/process-registry.js';
import { WriteBudget } from '../protocol/channels/write-budget.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { KeepAlive } from '../runtime/keep-alive.js';
import { Breakers } from './breakers.js';
import { Failover } from './failover.js';
import { Fleet } from './fleet.js';
import { Janitor } from './janitor.js';
import { LeaseDesk } from './lease-desk.js';
import { LeaseNews } from './lease-news.js';
import { Lifecycle } from './lifecycle.js';
import { LocalHost, type ServerHost } from './local-host.js';
import type { News } from './pool-events.js';
import { Retirement } from './retirement.js';
import { newMetrics } from './status.js';
import { WaitingCallers } from './waiting-callers.js';

/** What a pool stands on. Tests, and hosts with other kinds of processes, bring their own. */
export interface PoolDependencies {
  readonly clock?: Clock;
  readonly launcher?: Launcher;
}

const MB = 1_048_576;

/** The parts of a pool, wired together. Each is told what it needs of the others by the narrowest callbacks that do. */
export type PoolParts = ReturnType<typeof assemble>;

export function assemble(
  options: ResolvedPoolOptions,
  dependencies: PoolDependencies,
  news: News,
  isOpen: () => boolean,
) {
  const platform = currentPlatform();
  const clock = dependencies.clock ?? systemClock;
  const { maxProcesses } = options.limits;
  const hold = new KeepAlive();
  const fleet = new Fleet();
  const metrics = newMetrics();
  const registry = new ProcessRegistry(platform.table);
  const cleanup = new CleanupQueue(options.cleanup);
  const breakers = new Breakers(clock, news);
  const leaseNews = new LeaseNews(news, metrics);
  const host = dependencies.launcher ? elsewhere(dependencies.launcher) : new LocalHost(options, platform, news);
  const writeBudget = new WriteBudget(options.maxBufferedMB * MB);
  const instances = { clock, hold, launcher: host.launcher, registry, cleanup, writeBudget };
  // News of an instance goes to those who are made after it, and watch it.
  const lifecycle: Lifecycle = new Lifecycle(fleet, breakers, metrics, instances, news, {
    isOpen,
    lost: (instance, error) => failover.lost(instance, error),
    stoppedUnder: (instance, error) => desk.endLeases(instance, error),
    takeOver: (instance) => failover.takeOver(instance),
    usable: (instance) => desk.park(instance),
    startFailed: (group, key, seats, error) => waiting.startFailed(group, key, seats, error),
    spareFailed: (group) => janitor.spareFailed(group),
    quarantined: () => janitor.quarantined(),
    changed: () => waiting.settle(),
  });
  const waiting = new WaitingCallers({
    ...{ options, clock, fleet, news: leaseNews, lifecycle, breakers },
    host: {
      lend: (group, whose, stack) => desk.lend(group, whose, stack),
      reclaimSilent: () => janitor.reclaimSilent(),
      fillUp: () => janitor.fillUp(),
    },
  });
  const timekeeper = {
    parked: (...args: Parameters<Janitor['parked']>) => janitor.parked(...args),
    wakeAt: (at: number) => janitor.wakeAt(at),
  };
  const desk: LeaseDesk = new LeaseDesk({ options, clock, hold, fleet, news: leaseNews, waiting, timekeeper });
  const leases = { of: desk.leasesOf.bind(desk) };
  const failover: Failover = new Failover({
    ...{ clock, fleet, lifecycle, breakers, leases, news, leaseNews, metrics, maxProcesses, isOpen },
  });
  const retirement = new Retirement({ clock, hold, desk, waiting, failover });
  const janitor = new Janitor(clock, fleet, desk, waiting.queue, options, lifecycle);
  return {
    ...{ clock, hold, host, fleet, metrics, registry, cleanup, breakers, lifecycle },
    ...{ waiting, desk, retirement, janitor },
  };
}

/** Where processes live of which this host need not take care. */
function elsewhere(launcher: Launcher): ServerHost {
  return { launcher, containment: () => undefined, end: () => Promise.resolve() };
}
