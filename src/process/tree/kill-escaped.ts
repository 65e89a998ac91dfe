import { setTimeout as pause } from 'node:timers/promises';
import type { InstanceCgroup } from '../cgroup/instance-cgroup.js';
import type { InstanceMark } from '../marks/marker.js';
import { type SweepOptions, type SweepReport, sweep } from '../marks/sweep.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';

/** What holds the processes of a server together that have left its tree. */
export interface ContainmentHandles {
  /** Undefined when it bears none. */
  readonly mark: InstanceMark | undefined;
  /** Its cgroup. */
  readonly cgroup: InstanceCgroup | undefined;
}

/** Who was killed, and who lives all the same. */
export type KillReport = Pick<SweepReport, 'killed' | 'survivors'>;

/**
 * What no look at the table can do: empties the cgroup, of which the kernel says when nobody is in it, then looks for who
 * bears the mark and has left the group, until it is quiet. Undefined for a server that has neither.
 */
export function killEscaped(
  { cgroup, mark }: ContainmentHandles,
  platform: Platform,
  options: Pick<SweepOptions, 'since' | 'inner'>,
): (() => Promise<KillReport>) | undefined {
  if (!cgroup && !mark) return undefined;
  return async () => {
    const inCgroup = cgroup ? await emptied(cgroup, platform) : NOBODY;
    // The look of the tree was the first.
    const swept = mark ? await sweep(mark, platform, { ...options, quietLooks: 2, reads: platform.marks }) : NOBODY;
    return {
      killed: [...inCgroup.killed, ...swept.killed],
      survivors: [...inCgroup.survivors, ...swept.survivors.filter(({ pid }) => !inCgroup.pids.has(pid))],
    };
  };
}

const NOBODY = { killed: [], survivors: [], pids: new Set<number>() };

async function emptied(cgroup: InstanceCgroup, { table, pace }: Platform): Promise<KillReport & { pids: Set<number> }> {
  const rows = (pids: Set<number>) => [...pids].map((pid) => table.read(pid)).filter((row) => row !== undefined);
  const killed = new Map<number, ProcessRow>();
  const end = performance.now() + pace.killGrace;
  for (let interval = pace.firstPoll; cgroup.isPopulated(); interval = Math.min(interval * 2, pace.longestPoll)) {
    const pids = cgroup.pids();
    if (performance.now() > end) {
      const survivors = rows(pids);
      return { killed: [...killed.values()], survivors: survivors.length > 0 ? survivors : [UNSEEN], pids };
    }
    for (const row of rows(pids)) killed.set(row.pid, row);
    cgroup.kill();
    await pause(interval, undefined, { ref: false });
  }
  return { ...NOBODY, killed: [...killed.values()] };
}

/** The kernel says that somebody lives in the group, but not who: it was made a threaded one. */
const UNSEEN: ProcessRow = {
  ...{ pid: 0, parent: 0, group: 0, session: 0, startTime: 0, dead: false },
  command: 'unknown, in its cgroup',
};
