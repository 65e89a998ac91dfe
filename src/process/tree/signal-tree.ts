import { rest } from '../../runtime/rest.js';
import type { Platform } from '../platform.js';
import { isAlive, type ProcessIdentity, type ProcessRow } from '../process-table.js';
import { isSame } from '../same-process.js';
import type { SignalTargets } from '../termination-report.js';
import type { ProcessSet } from './process-set.js';

/**
 * Without an init: how long this host rests in all, so that parents can collect their killed children, ms. Time in which it is
 * stopped, or busy, does not count.
 */
const COLLECT_GRACE = 1_000;

/**
 * Signals all members, and no other process. Each is read again right before its signal: the scan that has shown it took
 * time, and after a kill some rows are older than the scan.
 * @returns the pids of those that it was sent to
 */
export function signalTree(
  platform: Platform,
  tree: ProcessSet,
  members: readonly ProcessRow[],
  signal: NodeJS.Signals,
): ReadonlySet<number> {
  const groups = tree.groupsOf(members);
  const signalled = new Set<number>();
  const reached = new Set<number>();
  for (const row of members) {
    const { pid, group } = row;
    const byGroup = groups.has(group);
    if (byGroup && signalled.has(group)) {
      reached.add(pid);
      continue;
    }
    const now = platform.table.read(pid);
    if (now === undefined || !isSame(row, now, members, platform.table)) continue;
    // The number of a group is not given again while a member is there. A member may have left for a group of its own.
    if (!byGroup) platform.signalProcess(pid, signal);
    else if (now.group === group) platform.signalGroup(group, signal);
    else continue;
    signalled.add(group);
    reached.add(pid);
  }
  return reached;
}

/** Signals the leader alone, as long as that lives and is the same process. False when it got no signal. */
export function signalLeader(platform: Platform, { pid, startTime }: ProcessIdentity, signal: NodeJS.Signals): boolean {
  platform.table.forget?.();
  if (!isAlive(platform.table, pid, startTime)) return false;
  platform.signalProcess(pid, signal);
  return true;
}

/** The groups that belong to the server, and the pids of the members that are in other groups. */
export function targetsOf(tree: ProcessSet, members: readonly ProcessRow[]): SignalTargets {
  const groups = tree.groupsOf(members);
  return { groups: [...groups], pids: members.filter(({ group }) => !groups.has(group)).map(({ pid }) => pid) };
}

/**
 * Kills all living members. Without an init each is killed after its children; what has no children is killed in this
 * tick.
 */
export async function killMembers(platform: Platform, tree: ProcessSet, living: readonly ProcessRow[]): Promise<void> {
  if (platform.withoutInit) {
    let rested = 0;
    const wait = (delay: number) => {
      rested += delay;
      return rest(delay);
    };
    await signalFromLeaves(platform, tree, 'SIGKILL', Infinity, wait, () => rested >= COLLECT_GRACE);
  }
  signalTree(platform, tree, platform.withoutInit ? tree.refresh() : living, 'SIGKILL');
}

/**
 * Signals each member only when it has no children any more, zombies included, so that every parent can still collect
 * its children. For hosts without an init, where an orphan stays a zombie. The leaves are signalled in this tick.
 *
 * @param patience how long parents may take to collect their children, ms
 * @param rest waits for that many ms
 * @param hurried ends the wait early when it returns true
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
    for (const row of waiting) {
      const now = table.read(row.pid);
      if (tree.hasChildren(row.pid) || now === undefined || !isSame(row, now, waiting, table)) continue;
      signalProcess(row.pid, signal);
      signalled.add(identity(row));
    }
    await rest(interval);
  }
}
