import { poolMemoryLimit } from '../../config/limit-options.js';
import type { ResolvedPoolOptions } from '../../config/options.js';
import { defaultMemoryLimitMB } from '../../monitor/host/auto-limits.js';
import type { TreeSource } from '../../monitor/monitored-host.js';
import type { MonitoredTree, TotalLimits } from '../../monitor/monitored-tree.js';
import type { HostSample } from '../../process/host/host-sample.js';
import type { Clock } from '../../runtime/clock.js';
import type { Outbox } from '../../runtime/outbox.js';
import type { Fleet } from '../instances/fleet.js';
import { treeOf } from './monitored-instance.js';

export interface MonitoredPoolDeps {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly options: ResolvedPoolOptions;
  readonly fleet: Fleet;
  readonly host: { unclaimed(): number };
}

/** The servers of a pool, as its monitor sees them. */
export class MonitoredPool implements TreeSource {
  readonly isPool = true;
  readonly #deps: MonitoredPoolDeps;

  constructor(deps: MonitoredPoolDeps) {
    this.#deps = deps;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get outbox(): Outbox {
    return this.#deps.outbox;
  }

  trees(): MonitoredTree[] {
    return [...this.#deps.fleet.instances()].filter(({ state }) => state !== 'stopped').map(treeOf);
  }

  unclaimed(): number {
    return this.#deps.host.unclaimed();
  }

  limits(host: HostSample): TotalLimits {
    const { fleet, options } = this.#deps;
    const { cpuLimitPercent } = options.limits;
    return {
      memoryMB: poolMemoryLimit(options.limits, defaultMemoryLimitMB(host), fleet.largestMemoryLimitMB),
      cpuPercent: { limit: cpuLimitPercent, isSet: true },
    };
  }
}
