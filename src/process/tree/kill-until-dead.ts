import { timerDelay } from '../../runtime/clock.js';
import type { InstanceCgroup } from '../cgroup/instance-cgroup.js';
import { QUIET_SCANS } from '../marks/sweep.js';
import type { Sweeper } from '../marks/sweeper.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import type { ProcessSet } from './process-set.js';
import { killMembers, signalTree } from './signal-tree.js';

export interface KillTarget {
  readonly platform: Platform;
  readonly tree: ProcessSet;
  /** Undefined when the server has none. */
  readonly cgroup?: Pick<InstanceCgroup, 'kill' | 'isPopulated'> | undefined;
  /** Kills marked processes that are started after a scan. Undefined when the server has no mark. */
  readonly sweeper?: Pick<Sweeper, 'killNew' | 'killed'> | undefined;
  /** Whether the kernel shows that none is left of a cgroup that has held all of them from the start. */
  isCgroupEmpty?(): boolean;
  /** Whether the leader's exit was seen. */
  hasExited(): boolean;
  /** Calls `wake` at the leader's exit, with the living members of a scan in that tick; undefined when it failed. */
  onceExited(wake: (living: readonly ProcessRow[] | undefined) => void): void;
}

/** How long the proof may take beyond the time for SIGKILL, ms: the last may have died at its end. */
const PROOF_GRACE = 500;
/** How much longer than asked a wait may take, ms. More than that is time in which this host could do nothing. */
const LATENESS = 50;

/** The processes that were killed, and those that live nevertheless. */
export interface KillReport {
  readonly killed: readonly ProcessRow[];
  readonly survivors: readonly ProcessRow[];
}

/**
 * The last step of the ladder, and the proof. Kills all members, scans again and kills what was forked meanwhile, until
 * all are dead and several scans in a row have shown no new one, or the time is up.
 *
 * One scan is no proof, because a chain of forks may be missed by several scans. The scans need not wait for the
 * deaths: once a process has SIGKILL, the kernel completes none of its forks, and what it has forked before is in the
 * table.
 *
 * @param living the members that the scan before has shown
 */
export async function killUntilDead(target: KillTarget, living: readonly ProcessRow[]): Promise<KillReport> {
  const { platform, tree, cgroup, sweeper } = target;
  const { firstPoll, longestPoll, killGrace } = platform.pace;
  const killed = new Map(living.map((row) => [row.pid, row]));
  const report = (survivors: readonly ProcessRow[]): KillReport => {
    for (const row of sweeper?.killed.values() ?? []) killed.set(row.pid, row);
    return { killed: [...killed.values()], survivors };
  };
  // Without a mark, the kinship of the processes is all there is to see, and the scan after the last death shows it.
  const proof = new QuietScans(sweeper ? QUIET_SCANS : 1, firstPoll);
  let dead = living.length === 0;
  let isUnread = false;
  let isQuiet = true;
  if (!dead) await killFirst(target, living);
  tree.killUnseen?.(platform);
  // The scan before counts, if nothing was killed after it.
  if (dead && !tree.killUnseen) proof.add(true);

  let end = performance.now() + killGrace;
  let proofEnd = end + PROOF_GRACE;
  /** Time in which this host was stopped, or busy, does not count: neither kills nor scans were possible. */
  const wait = async (delay: number, leader?: KillTarget) => {
    const due = performance.now() + delay + LATENESS;
    const atExit = await pause(delay, leader);
    const heldUp = Math.max(0, performance.now() - due);
    end += heldUp;
    proofEnd += heldUp;
    return atExit;
  };
  for (let interval = sweeper ? 0 : firstPoll; ; ) {
    const now = performance.now();
    const late = now > end;
    // A quiet scan is followed by the next one within milliseconds.
    if (dead && (proof.isComplete || (now > proofEnd && !isQuiet))) {
      const hidden = cgroup?.isPopulated() === true;
      if (!hidden && proof.isComplete) return report([]);
      if (late) return report([hidden ? HIDDEN : UNREAD]);
      cgroup?.kill();
      proof.add(false);
    }
    if (late && !dead) {
      const survivors = tree.living();
      if (survivors.length > 0) return report(survivors);
      dead = true;
    }

    let atExit: readonly ProcessRow[] | undefined;
    if (dead && proof.hasBegun && !isUnread) {
      // Not in this tick, in which all trees share one look: each counts once.
      await wait(proof.wait);
    } else {
      const exited = target.hasExited();
      atExit = await wait(interval, exited ? undefined : target);
      const exitedNow = target.hasExited() && !exited;
      interval = exitedNow ? firstPoll : Math.min(Math.max(interval * 2, firstPoll), longestPoll);
      // While members die, the whole table is read only as often as the proof needs it: it costs more than a few reads.
      if (!dead && !atExit && proof.needsOne && interval < longestPoll && !tree.allDead()) continue;
    }

    const members = atExit ?? tree.refresh(dead || interval === longestPoll ? undefined : killed);
    const found = members.filter(({ pid, startTime }) => killed.get(pid)?.startTime !== startTime);
    for (const row of found) killed.set(row.pid, row);
    if (found.length > 0 || interval === longestPoll) {
      signalTree(platform, tree, members, 'SIGKILL');
      // Not before: it costs the kernel more than signals.
      cgroup?.kill();
    }
    const chase = sweeper?.killNew(proofEnd) ?? 'none';
    // Where others start processes faster than they can be read, this scan shows nothing, but those before do.
    isUnread = chase === 'unread' && target.isCgroupEmpty?.() !== true;
    isQuiet = found.length === 0 && chase !== 'found' && !isUnread;
    if (found.length > 0 || !isUnread) proof.add(isQuiet);
    dead = members.length === 0 || (found.length === 0 && tree.allDead());
  }
}

/** The scans in a row that have shown nothing new. */
class QuietScans {
  readonly #needed: number;
  readonly #spread: number;
  #count = 0;
  #since = 0;

  /**
   * @param spread how long after the first of them the last one is, ms: a child that is being forked is not visible yet
   */
  constructor(needed: number, spread: number) {
    this.#needed = needed;
    this.#spread = spread;
  }

  get hasBegun(): boolean {
    return this.#count > 0;
  }

  get needsOne(): boolean {
    return this.#count >= this.#needed - 1;
  }

  get isComplete(): boolean {
    return this.#count >= this.#needed;
  }

  /** How long to wait before the next one, ms. */
  get wait(): number {
    return this.needsOne ? Math.max(0, this.#since + this.#spread - performance.now()) : 0;
  }

  add(quiet: boolean): void {
    this.#count = quiet ? this.#count + 1 : 0;
    if (this.#count === 1) this.#since = performance.now();
  }
}

function killFirst({ platform, tree }: KillTarget, living: readonly ProcessRow[]): Promise<void> | undefined {
  if (!platform.killTree) return killMembers(platform, tree, living);
  for (const root of rootsOf(living)) platform.killTree(root);
  return undefined;
}

/** The members without a parent among the members: all others are below them. */
function rootsOf(members: readonly ProcessRow[]): ProcessRow[] {
  const pids = new Set(members.map(({ pid }) => pid));
  return members.filter(({ parent }) => !pids.has(parent));
}

/**
 * Waits; ends early when the leader of `target` exits, or `abort` is aborted. Does not keep the host alive.
 * @param delay ms; 0 only lets what is due now go first
 * @returns the living members at the leader's exit, if that ended it
 */
export function pause(
  delay: number,
  target?: Pick<KillTarget, 'onceExited'>,
  abort?: AbortSignal,
): Promise<readonly ProcessRow[] | undefined> {
  return new Promise((resolve) => {
    // A timer takes a millisecond at least.
    if (delay === 0) void turn().then(resolve);
    const timer = delay > 0 ? setTimeout(stop, timerDelay(delay)).unref() : undefined;
    function stop() {
      void turn().then(() => done());
    }
    function done(living?: readonly ProcessRow[]) {
      clearTimeout(timer);
      abort?.removeEventListener('abort', stop);
      resolve(living);
    }
    abort?.addEventListener('abort', stop);
    target?.onceExited(done);
    if (abort?.aborted) done();
  });
}

let next: Promise<undefined> | undefined;

/**
 * Resolves in the next turn of the event loop, for all that wait in this one: the trees that are due together go on in
 * one tick, and so share one look at the machine. An immediate without a reference would wait for the next event.
 */
function turn(): Promise<undefined> {
  next ??= new Promise((resolve) => {
    setImmediate(() => {
      next = undefined;
      resolve(undefined);
    });
  });
  return next;
}

const UNKNOWN = { pid: 0, parent: 0, group: 0, session: 0, startTime: 0, dead: false };

/** The kernel reports a living process in the cgroup, but no pid: the cgroup was made a threaded one. */
const HIDDEN: ProcessRow = { ...UNKNOWN, command: 'unknown, in its cgroup' };

/** None is known, but so many were started meanwhile that not all could be read. */
const UNREAD: ProcessRow = { ...UNKNOWN, command: 'unknown, among more new processes than can be read' };
