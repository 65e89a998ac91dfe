import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import { cgroupPids } from '../cgroup/cgroup-files.js';
import { isCgroupOf, killHostCgroup, removeHostCgroup } from '../cgroup/host-cgroup.js';
import { noteProblem } from '../containment-problems.js';
import { type HostMark, hostMark, type MarkedHost, outerHosts } from '../marks/marker.js';
import { type SweepOptions, type SweepReport, sweep } from '../marks/sweep.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { hostStateOf, type LedgerEntry, type LedgerRecord, pidScope, readLedgers, removeLedger } from './ledger.js';

/** What a host that died had left, and what became of it. */
export interface ReapedHost {
  /** The pid that it had. */
  readonly hostPid: number;
  /** Who was killed. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  /** Who lives all the same. */
  readonly survivors: readonly { readonly pid: number; readonly command: string }[];
  /** Ms. */
  readonly duration: number;
}

/**
 * Ends what dead hosts of this user have left: those whose guardian was killed with them. One host after the other, each
 * in bounded time. Tells of each that had left something.
 */
export async function reapDeadHosts(
  folders: readonly string[],
  platform: Platform,
  tell: (reaped: ReapedHost) => void,
  abort?: AbortSignal,
): Promise<void> {
  try {
    for (const { file, record } of deadHosts(folders, platform)) {
      // The pool is shut down; its ledger stays for the next host.
      if (abort?.aborted) return;
      const { killed, survivors, quiet, duration } = await reapHost(record, platform);
      if (quiet && survivors.length === 0) removeLedger(file);
      if (killed.length + survivors.length === 0) continue;
      tell({ hostPid: record.pid, processes: killed.map(named), survivors: survivors.map(named), duration });
    }
  } catch (error) {
    // EMFILE. The next host tries again.
    tellUnread(messageOf(error));
  }
}

/** Whether the host of a mark lives, as far as a ledger tells. */
export function hostLives({ text, number }: MarkedHost, folders: readonly string[], { table }: Platform) {
  const here = pidScope();
  for (const { record } of folders.flatMap((folder) => readLedgers(folder))) {
    const { mark } = record;
    if (text === undefined ? mark.number === number : mark.text === text)
      return hostStateOf(record, here, table) === 'living';
  }
  return undefined;
}

/** How often it is tried to remove an emptied group, and ms between. */
const REMOVALS = 20;
const REMOVAL_PAUSE = 10;

/** What is known of a dead host. */
export type DeadHost = Pick<LedgerRecord, 'mark' | 'startTime' | 'cgroups'>;

/** Ends all that a dead host has left: everybody in its cgroups, then everybody who bears its mark. */
export async function reapHost(
  { mark, startTime, cgroups }: DeadHost,
  platform: Platform,
  options: Pick<SweepOptions, 'hold'> = {},
): Promise<SweepReport> {
  const { table } = platform;
  const inCgroups: ProcessRow[] = [];
  for (const folder of cgroups) {
    attempt(() => {
      if (!isCgroupOf(folder, mark)) return;
      const rows = [...cgroupPids(folder)].map((pid) => table.read(pid));
      inCgroups.push(...rows.filter((row) => row !== undefined));
      killHostCgroup(folder, mark);
    });
  }
  const report = await sweep({ host: mark }, platform, { ...options, since: startTime });
  // Who was killed leaves his group a moment after he is dead.
  for (const folder of cgroups) {
    for (let tries = 0; tries < REMOVALS && isThere(folder, mark); tries++) {
      if (removeHostCgroup(folder, mark)) break;
      await pause(REMOVAL_PAUSE, undefined, { ref: options.hold === true });
    }
  }
  return { ...report, killed: distinct([...inCgroups, ...report.killed]) };
}

function isThere(folder: string, mark: HostMark): boolean {
  try {
    return isCgroupOf(folder, mark);
  } catch {
    return false;
  }
}

/** A process that is dying when it is swept was killed once. */
function distinct(rows: readonly ProcessRow[]): ProcessRow[] {
  return [...new Map(rows.map((row) => [`${row.pid}@${row.startTime}`, row])).values()];
}

/** Of folders that may be gone, or another's by now. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // The marks say who is left.
  }
}

/** Those that left something, or may have. Forgets those of which nothing can be left. */
function deadHosts(folders: readonly string[], { table }: Platform): LedgerEntry[] {
  const here = pidScope();
  // Who bears the mark of a dead host was a server of it, or was started by one. If that is ourselves, so are our servers.
  const around = new Set([hostMark(), ...outerHosts()].map(({ number }) => number));
  return folders
    .flatMap((folder) =>
      readLedgers(folder, (problem, damaged) => {
        tellUnread(problem);
        // So that it is told of once.
        if (damaged !== undefined) removeLedger(damaged);
      }),
    )
    .filter(({ file, record }) => {
      const fate = hostStateOf(record, here, table);
      if (fate === 'over') removeLedger(file);
      return fate === 'dead' && !around.has(record.mark.number);
    });
}

function tellUnread(problem: string): void {
  noteProblem({
    part: 'ledger',
    reason: `a ledger was not read: ${problem}`,
    consequence: 'if a host died together with its guardian, what it left may live on: see findStrays()',
  });
}

function named({ pid, command }: { readonly pid: number; readonly command: string }) {
  return { pid, command };
}
