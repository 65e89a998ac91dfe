import { setTimeout as pause } from 'node:timers/promises';
import type { InstanceCgroup } from '../cgroup/instance-cgroup.js';
import type { InstanceMark } from '../marks/marker.js';
import { type SweepOptions, type SweepReport, sweep } from '../marks/sweep.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';

/** By what the processes of a server are found and killed that have left its tree. */
export interface ContainmentHandles {
  /** Undefined when the server has none. */
  readonly mark: InstanceMark | undefined;
  /** Undefined when the server has none. */
  readonly cgroup: InstanceCgroup | undefined;
}

/** The processes that were killed, and those that live nevertheless. */
export type KillReport = Pick<SweepReport, 'killed' | 'survivors'>;

/**
 * Kills what scans of the process table may miss: first all in the cgroup, until the kernel reports it empty, then all
 * that have the mark and are not in the cgroup, until no scan finds any. Returns undefined for a server that has
 * neither.
 */
export function killEscaped(
  { cgroup, mark }: ContainmentHandles,
  platform: Platform,
  options: Pick<SweepOptions, 'since' | 'inner'>,
): (() => Promise<KillReport>) | undefined {
  if (!cgroup && !mark) return undefined;
  return async () => {
    const inCgroup = cgroup ? await emptied(cgroup, platform) : NONE;
    // The last scan of the tree counts as the first of three.
    const swept = mark ? await sweep(mark, platform, { ...options, quietScans: 2, readMark: platform.marks }) : NONE;
    return {
      killed: [...inCgroup.killed, ...swept.killed],
      survivors: [...inCgroup.survivors, ...swept.survivors.filter(({ pid }) => !inCgroup.pids.has(pid))],
    };
  };
}

const NONE = { killed: [], survivors: [], pids: new Set<number>() };

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
  return { ...NONE, killed: [...killed.values()] };
}

/** The kernel reports a living process in the cgroup, but no pid: the cgroup was made a threaded one. */
const UNSEEN: ProcessRow = {
  ...{ pid: 0, parent: 0, group: 0, session: 0, startTime: 0, dead: false },
  command: 'unknown, in its cgroup',
};
