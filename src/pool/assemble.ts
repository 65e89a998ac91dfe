import type { ResolvedPoolOptions } from '../config/options.js';
import { AlertManager } from '../health/alerts/alert-manager.js';
import type { StuckEvent } from '../health/health-events.js';
import { loopOf, optionsOfPool } from '../monitor/loop-of.js';
import { ResourceMonitor } from '../monitor/resource-monitor.js';
import { PackageResolver } from '../packages/package-resolver.js';
import { CleanupQueue } from '../process/cleanup-queue.js';
import type { Launcher } from '../process/launcher.js';
import { currentPlatform } from '../process/platforms/current-platform.js';
import { ProcessRegistry } from '../process/process-registry.js';
import { WriteBudget } from '../protocol/channels/write-budget.js';
import { systemClock } from '../runtime/clock.js';
import { DueTimes } from '../runtime/due-times.js';
import { KeepAlive } from '../runtime/keep-alive.js';
import type { Outbox } from '../runtime/outbox.js';
import { HostHeadroom } from '../sequence/preflight/host-headroom.js';
import { AcquireQueue } from './acquire/acquire-queue.js';
import { JointCalls } from './acquire/joint-calls.js';
import { Matcher } from './acquire/matcher.js';
import { Scheduler } from './acquire/scheduler.js';
import { Starts } from './acquire/starts.js';
import type { PoolDependencies } from './dependencies.js';
import type { PoolEmitter } from './events.js';
import { stillStuck } from './health/pool-alerts.js';
import { PoolHealth } from './health/pool-health.js';
import { publishRequests } from './health/request-channels.js';
import { RequestWatch } from './health/request-watch.js';
import { ServiceLevelFeed } from './health/service-level-feed.js';
import { Fleet } from './instances/fleet.js';
import { IdleWatch } from './instances/idle-watch.js';
import { LeaseEvents } from './leases/lease-events.js';
import { LeaseManager } from './leases/lease-manager.js';
import { LocalHost, type ServerHost } from './local-host.js';
import { newCounts } from './metrics.js';
import { CleanupTimes } from './monitoring/figures.js';
import { MonitoredPool } from './monitoring/monitored-pool.js';
import { PoolEnforcer } from './monitoring/pool-enforcer.js';
import { ServerOrder } from './order/server-order.js';
import { PackageStarts, packageNews, unsupportedFor } from './packages/package-starts.js';
import { ServerDirectory } from './server-directory.js';
import type { PoolLife } from './status.js';
import { Breakers } from './supervision/breakers.js';
import { CrashRecovery } from './supervision/crash-recovery.js';
import { InstanceSupervisor } from './supervision/instance-supervisor.js';
import { InstanceWatches } from './supervision/instance-watches.js';
import { RollingReplacement } from './supervision/rolling-replacement.js';
import { StartTurns } from './supervision/start-turns.js';

const MB = 1_048_576;

export type PoolParts = ReturnType<typeof assemble>;

/** Makes the parts of a pool. Each part knows only parts that were made before it. */
export function assemble(
  options: ResolvedPoolOptions,
  { clock = systemClock, launcher, overload, headroom = new HostHeadroom(clock) }: PoolDependencies,
  emitter: PoolEmitter,
  outbox: Outbox,
) {
  const platform = currentPlatform();
  const keepAlive = new KeepAlive();
  const dueTimes = new DueTimes();
  const counts = newCounts();
  const cleanups = new CleanupTimes();
  const registry = new ProcessRegistry(platform.table, outbox);
  const cleanup = new CleanupQueue(options.cleanup, outbox);
  const host = launcher ? elsewhere(launcher) : new LocalHost(options, platform, emitter);
  const buffered = options.maxBufferedMB * MB;
  const budgets = { writeBudget: new WriteBudget(buffered), copyBudget: new WriteBudget(buffered) };
  const requests = new RequestWatch(clock);
  requests.add(publishRequests(emitter));
  const context = { clock, keepAlive, host, registry, cleanup, requests, ...budgets };

  const fleet = new Fleet(options.limits);
  const idleWatch = new IdleWatch(fleet, dueTimes);
  const leaseEvents = new LeaseEvents(emitter, counts);
  const leases = new LeaseManager(fleet, dueTimes, leaseEvents, options.leakDetection);
  const breakers = new Breakers(clock, emitter, fleet);
  const turns = new StartTurns(options.limits.concurrentStarts, clock, dueTimes);
  const common = { clock, keepAlive, dueTimes, emitter, counts, cleanups, fleet, leases, leaseEvents, breakers, turns };
  const monitored = new MonitoredPool({ ...common, host, options, outbox });
  const monitor = new ResourceMonitor(optionsOfPool({ settings: options.monitoring, source: monitored }));
  const monitorLoop = loopOf(monitor);
  const alerts = new AlertManager(options.alerts, clock, outbox);
  const onStillStuck = (stuck: StuckEvent) => stillStuck(alerts, stuck);
  const poolHealth = new PoolHealth({ ...common, outbox, overload, onStillStuck });
  const watches = new InstanceWatches();
  watches.add(poolHealth);
  const recovery = new CrashRecovery(common);
  const npm = { launcher: launcher ?? host.launcherFor(), registry: new ProcessRegistry(platform.table) };
  const resolver = new PackageResolver(npm, clock, packageNews(emitter), unsupportedFor(launcher));
  const packages = new PackageStarts({ ...common, resolver });
  const supervisor = new InstanceSupervisor({ ...common, recovery, context, monitorLoop, packages, watches });
  const queue = new AcquireQueue({ ...common, events: leaseEvents });
  const matcher = new Matcher(queue, fleet, breakers, clock);
  const starts = new Starts({ ...common, queue, recovery, supervisor });
  const { maxWaiting } = options;
  const acquiring = {
    ...common,
    headroom,
    maxWaiting,
    outbox,
    idleWatch,
    queue,
    matcher,
    starts,
    recovery,
    supervisor,
  };
  const scheduler = new Scheduler(acquiring);
  const replacement = new RollingReplacement({ ...common, operations: scheduler, recovery, supervisor });
  monitorLoop.connect(new PoolEnforcer({ ...common, scheduler, replacement }));
  const order = new ServerOrder({
    ...acquiring,
    scheduler,
    replacement,
    health: poolHealth.monitor,
    acquireTimeout: options.acquireTimeout,
  });
  watches.add(order);
  const servers = new ServerDirectory({
    options,
    monitorLoop,
    poolHealth,
    operations: scheduler,
    ...acquiring,
    order,
    replacement,
  });
  const jointCalls = new JointCalls({ ...acquiring, scheduler });
  const { limits } = options;
  const life: PoolLife = { state: 'open', madeAt: clock.now() };
  const watched = { registry, cleanup, monitor, monitorLoop, poolHealth, requests, alerts, host, resolver };
  const serviceLevels = new ServiceLevelFeed(options.serviceLevels, { ...acquiring, ...watched });
  return { ...acquiring, ...watched, life, limits, scheduler, jointCalls, order, replacement, servers, serviceLevels };
}

/** For a launcher of the host: the pool does not know its containment, and has nothing of it to end. */
function elsewhere(launcher: Launcher): ServerHost {
  return {
    launcherFor: () => launcher,
    containment: () => undefined,
    unclaimed: () => 0,
    end: () => Promise.resolve(),
  };
}
