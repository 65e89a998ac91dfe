import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import type { ProcessSet } from './process-tree.js';

/**
 * Signals each member when it has no children any more, zombies included: so a parent collects them, as long as it can.
 * Made for hosts where nobody else does. The leaves are signalled in this tick.
 *
 * @param patience how long it waits for parents to collect, ms
 * @param rest waits a moment
 */
export async function signalFromLeaves(
  { table, signalProcess, pace }: Platform,
  tree: ProcessSet,
  signal: NodeJS.Signals,
  patience: number,
  rest: (delay: number) => Promise<void>,
  hurried: () => boolean = () => false,
): Promise<void> {
  const end = performance.now() + patience;
  const signalled = new Set<string>();
  const identity = ({ pid, startTime }: ProcessRow) => `${pid}@${startTime}`;
  for (let interval = pace.firstPoll; ; interval = Math.min(interval * 2, pace.longestPoll)) {
    const waiting = tree.refresh().filter((row) => !signalled.has(identity(row)));
    if (waiting.length === 0 || performance.now() >= end || hurried()) return;
    const parents = new Set([...table.scan().values()].map(({ parent }) => parent));
    for (const row of waiting) {
      if (parents.has(row.pid)) continue;
      signalProcess(row.pid, signal);
      signalled.add(identity(row));
    }
    await rest(interval);
  }
}
