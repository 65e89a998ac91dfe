import { setTimeout as pause } from 'node:timers/promises';
import type { InstanceGroup } from '../cgroup/instance-cgroup.js';
import type { InstanceMark } from '../marks/marker.js';
import { type SweepOptions, type SweepReport, sweep } from '../marks/sweep.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';

/** What holds the processes of a server together that have left its tree. */
export interface Hold {
  /** Undefined when it bears none. */
  readonly mark: InstanceMark | undefined;
  /** Its cgroup. */
  readonly group: InstanceGroup | undefined;
}

/** Who was killed, and who lives all the same. */
export type LastLook = Pick<SweepReport, 'killed' | 'survivors'>;

/**
 * What no look at the table can do: empties the cgroup, of which the kernel says when nobody is in it, then looks for who
 * bears the mark and has left the group, until it is quiet. Undefined for a server that has neither.
 */
export function lastLook(
  { group, mark }: Hold,
  platform: Platform,
  options: Pick<SweepOptions, 'since' | 'inner'>,
): (() => Promise<LastLook>) | undefined {
  if (!group && !mark) return undefined;
  return async () => {
    const inGroup = group ? await emptied(group, platform) : NOBODY;
    // The look of the tree was the first.
    const swept = mark ? await sweep(mark, platform, { ...options, quietLooks: 2, reads: platform.marks }) : NOBODY;
    return {
      killed: [...inGroup.killed, ...swept.killed],
      survivors: [...inGroup.survivors, ...swept.survivors.filter(({ pid }) => !inGroup.pids.has(pid))],
    };
  };
}

const NOBODY = { killed: [], survivors: [], pids: new Set<number>() };

async function emptied(group: InstanceGroup, { table, pace }: Platform): Promise<LastLook & { pids: Set<number> }> {
  const rows = (pids: Set<number>) => [...pids].map((pid) => table.read(pid)).filter((row) => row !== undefined);
  const killed = new Map<number, ProcessRow>();
  const end = performance.now() + pace.killGrace;
  for (let interval = pace.firstPoll; group.isPopulated(); interval = Math.min(interval * 2, pace.longestPoll)) {
    const pids = group.pids();
    if (performance.now() > end) {
      const survivors = rows(pids);
      return { killed: [...killed.values()], survivors: survivors.length > 0 ? survivors : [UNSEEN], pids };
    }
    for (const row of rows(pids)) killed.set(row.pid, row);
    group.kill();
    await pause(interval, undefined, { ref: false });
  }
  return { ...NOBODY, killed: [...killed.values()] };
}

/** The kernel says that somebody lives in the group, but not who: it was made a threaded one. */
const UNSEEN: ProcessRow = {
  ...{ pid: 0, parent: 0, group: 0, session: 0, startTime: 0, dead: false },
  command: 'unknown, in its cgroup',
};
