import type { ResolvedDefinition } from '../config/options.js';
import type { CleanupJob, CleanupQueue, CleanupReport } from '../process/cleanup-queue.js';
import type { EndMode } from '../process/termination-report.js';
import type { Life } from './life.js';

/** Time that an attempt to end a tree needs beside the graces, in ms: for SIGKILL and proof. */
const LADDER_RESERVE = 3_000;

interface Named {
  readonly id: string;
  readonly name: string;
  readonly pid: number | undefined;
  readonly definition: ResolvedDefinition;
}

/** Enqueues the job that ends the processes of an instance, with its own graces. */
export function cleanUpTree(queue: CleanupQueue, instance: Named, life: Life, mode: EndMode): Promise<CleanupReport> {
  const { id, name, pid, definition } = instance;
  const leastTime = definition.eofGrace + definition.termGrace + LADDER_RESERVE;
  const end: CleanupJob['end'] = async (options) => {
    if (life.process === undefined) throw new Error('nothing was started');
    // Read now: an update may change them.
    return life.process.end({ ...options, graces: instance.definition });
  };
  return queue.enqueue({ id, name, pid, leastTime, end }, mode);
}
