import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Whether nothing holds that object any more. Only in a later turn of the event loop than its last use. */
export function isCollected(object: WeakRef<object>): boolean {
  collect();
  return object.deref() === undefined;
}

/** Bytes in use, of objects and of buffers, after all garbage was collected. */
function memoryInUse(): number {
  // Twice, because what a finalizer holds is free only after the first.
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** How much more memory is in use after `task`, while what it returns is alive. */
export function memoryOf(task: () => unknown): number {
  const before = memoryInUse();
  const kept = task();
  const after = memoryInUse();
  // So that it lives until here.
  return kept === undefined ? Number.NaN : after - before;
}

/** As {@link memoryOf}, of what is kept elsewhere after an asynchronous task. */
export async function memoryOfAsync(task: () => Promise<void>): Promise<number> {
  const before = memoryInUse();
  await task();
  return memoryInUse() - before;
}
