import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../errors.js';
import { freeStrangers, hostCgroupPids, isCgroupOf, killHostCgroup, removeHostCgroup } from '../cgroup/host-cgroup.js';
import { noteProblem } from '../containment-problems.js';
import { type PidScope, pidScope } from '../marks/host-origin.js';
import { Looks } from '../marks/looks.js';
import { type HostMark, hostMark, type MarkedHost, outerHosts } from '../marks/marker.js';
import { type SweepOptions, type SweepReport, sweep } from '../marks/sweep.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { hostStateOf, type LedgerEntry, type LedgerRecord, readLedgers, removeLedger } from './ledger.js';

/** What a dead host had left, and what became of it. */
export interface ReapedHost {
  /** The pid of the dead host. */
  readonly hostPid: number;
  /** The processes that were killed. */
  readonly processes: readonly { readonly pid: number; readonly command: string }[];
  /** The processes that live nevertheless. */
  readonly survivors: readonly { readonly pid: number; readonly command: string }[];
  /** Ms. */
  readonly duration: number;
}

/**
 * Ends what dead hosts of this user have left because their guardian was killed with them. One host after the other,
 * each in bounded time. Calls `onReaped` for each host that had left a process.
 */
export async function reapDeadHosts(
  folders: readonly string[],
  platform: Platform,
  onReaped: (reaped: ReapedHost) => void,
  abort?: AbortSignal,
): Promise<void> {
  // For all of them, so that each process is read once.
  const looks = new Looks(platform.table, { readMark: platform.marks });
  try {
    for (const { file, record } of deadHosts(folders, platform)) {
      // The pool is shut down; the ledgers stay for the next host.
      if (abort?.aborted) return;
      const { killed, survivors, quiet, duration } = await reapHost(record, platform, { looks });
      if (quiet && survivors.length === 0) removeLedger(file);
      if (killed.length + survivors.length === 0) continue;
      onReaped({ hostPid: record.pid, processes: killed.map(named), survivors: survivors.map(named), duration });
    }
  } catch (error) {
    // EMFILE. The next host will try again.
    noteUnread(messageOf(error));
  }
}

/**
 * Answers whether the host of a mark lives; undefined when no ledger mentions it. The ledgers are read once, at the first
 * question.
 */
export function hostsIn(folders: readonly string[], { table }: Platform): (host: MarkedHost) => boolean | undefined {
  const byId = new Map<string, LedgerRecord>();
  const byNumber = new Map<number, LedgerRecord>();
  let scope: PidScope | undefined;
  const read = () => {
    // The first one counts: best folder first.
    for (const { record } of folders.flatMap((folder) => readLedgers(folder)).reverse()) {
      byId.set(record.mark.id, record);
      byNumber.set(record.mark.number, record);
    }
    return pidScope();
  };
  return ({ id, number }) => {
    scope ??= read();
    const record = id !== undefined ? byId.get(id) : number !== undefined ? byNumber.get(number) : undefined;
    return record && hostStateOf(record, scope, table) === 'living';
  };
}

/** How often removing an emptied cgroup is tried. */
const REMOVALS = 20;
/** Ms between two tries. */
const REMOVAL_PAUSE = 10;

/** What is known of a dead host. */
export type DeadHost = Pick<LedgerRecord, 'mark' | 'startTime' | 'cgroups' | 'login'>;

/** Ends all that a dead host has left: all processes in its cgroups, then all processes with its mark. */
export async function reapHost(
  { mark, startTime, cgroups, login }: DeadHost,
  platform: Platform,
  options: Pick<SweepOptions, 'hold' | 'looks'> = {},
): Promise<SweepReport> {
  const { table } = platform;
  const inCgroups: ProcessRow[] = [];
  for (const folder of cgroups) {
    attempt(() => {
      const rows = hostCgroupPids(folder, mark).map((pid) => table.read(pid));
      inCgroups.push(...rows.filter((row) => row !== undefined));
      killHostCgroup(folder, mark);
    });
  }
  const report = await sweep({ host: mark }, platform, { ...options, since: startTime, login });
  // A killed process leaves its cgroup a moment after its death.
  for (const folder of cgroups) {
    await freeStrangers(folder, mark, table).catch(() => {});
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

/** A process that was dying during the sweep appears in both lists. */
function distinct(rows: readonly ProcessRow[]): ProcessRow[] {
  return [...new Map(rows.map((row) => [`${row.pid}@${row.startTime}`, row])).values()];
}

/** For folders that may be gone, or belong to another user by now. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // The sweep by marks finds what is left.
  }
}

/** The dead hosts that may have left processes. Removes the ledgers of those that cannot. */
function deadHosts(folders: readonly string[], { table }: Platform): LedgerEntry[] {
  const scope = pidScope();
  // A process with the mark of a dead host descends from one of its servers. If this host is one, its own servers are,
  // too.
  const around = new Set([hostMark(), ...outerHosts()].map(({ number }) => number));
  const entries = folders.flatMap((folder) =>
    readLedgers(folder, (problem, damaged) => {
      noteUnread(problem);
      // So that it is reported only once.
      if (damaged !== undefined) removeLedger(damaged);
    }),
  );
  const fates = entries.map((entry) => ({ ...entry, fate: hostStateOf(entry.record, scope, table) }));
  // A ledger can be made for a host with the number of another one: what has only the limit would be that of both.
  for (const { fate, record } of fates) if (fate === 'living') around.add(record.mark.number);
  for (const { fate, file } of fates) if (fate === 'over') removeLedger(file);
  return fates.filter(({ fate, record }) => fate === 'dead' && !around.has(record.mark.number));
}

/** Reports that something about ledgers could not be read. */
export function noteUnread(problem: string): void {
  noteProblem({
    part: 'ledger',
    reason: `a ledger was not read: ${problem}`,
    consequence: 'if a host died together with its guardian, what it left may live on: see findStrays()',
  });
}

function named({ pid, command }: { readonly pid: number; readonly command: string }) {
  return { pid, command };
}
