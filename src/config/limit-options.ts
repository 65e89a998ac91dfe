import { availableParallelism } from 'node:os';
import { count, later, type Resolved } from './fields.js';

/** Hard budgets of a pool. */
export const limitFields = {
  /**
   * Most process trees of the pool at once: starting, running, stopping and quarantined; `Infinity`: no cap. Default: 15.
   * @see https://github.com/metatool-ai/metamcp/issues/162 for what happens without a cap
   */
  maxProcesses: count(15, 1, 'unlimited'),
  /** The same for each server. Default: `Infinity`. */
  maxProcessesPerServer: count(Infinity, 1, 'unlimited'),
  /**
   * Most starts that are under way at once; others wait for their turn, first come, first served. A start has its turn until
   * it is ready or has failed, but at most 3 s; its `startTimeout` begins with its spawn. `Infinity`: no cap. Default: two for
   * each core (`os.availableParallelism()`), at least 4.
   */
  concurrentStarts: count(Math.max(4, availableParallelism() * 2), 1, 'unlimited'),
  /** Not supported yet: `NOT_SUPPORTED`. */
  memoryLimitMB: later('memory limits come with the resource monitor'),
};

export type ResolvedLimits = Resolved<typeof limitFields>;
