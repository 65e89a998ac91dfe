import type { PoolOptions, ResolvedPoolOptions, SingleServerOptions } from '../config/options.js';
import { resolvePoolOptions } from '../config/resolve-options.js';
import { autoMaxProcesses } from '../monitor/host/auto-limits.js';
import { HostSampler } from '../process/host/host-sampler.js';

/** The options of a pool on this machine, which is measured only for `limits.maxProcesses: 'auto'`. */
export function checkedOptions(written: PoolOptions | SingleServerOptions): ResolvedPoolOptions {
  return resolvePoolOptions(written, () => autoMaxProcesses(new HostSampler().sample()));
}
