import { timerDelay } from '../../runtime/clock.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import type {
  EndMode,
  EndStep,
  Graces,
  Rung,
  SignalTargets,
  TerminationReport,
  TreePlan,
} from '../termination-report.js';
import type { KillReport } from './kill-escaped.js';
import type { ProcessSet } from './process-set.js';

export interface TerminationTarget {
  readonly pid: number;
  readonly platform: Platform;
  readonly tree: ProcessSet;
  closeStdin(): void;
  /** Whether the leader's exit was seen. */
  hasExited(): boolean;
  /** Calls `wake` at the leader's exit. */
  onceExited(wake: () => void): void;
  /** Kills all processes in the cgroup at once. */
  killCgroup?: (() => void) | undefined;
  /** Kills what scans of the table may miss, until no process is left. */
  killRest?: (() => Promise<KillReport>) | undefined;
}

/** How long helpers may take to end by themselves after the exit of their leader, ms; then they get SIGTERM. */
const STRAGGLER_GRACE = 200;

/** Without an init: how long parents may take to collect their killed children, ms. */
const COLLECT_GRACE = 300;

/**
 * The one way in which process trees are ended: close stdin, SIGTERM, SIGKILL, each with its grace; then the proof,
 * from the state of each process, that none is left.
 */
export async function endTree(
  target: TerminationTarget,
  graces: Graces,
  mode: EndMode,
  abort?: AbortSignal,
): Promise<TerminationReport> {
  const started = performance.now();
  const steps: TerminationReport['steps'][number][] = [];
  const { tree } = target;
  const begin = (step: EndStep, living: readonly ProcessRow[]) =>
    steps.push({ step, at: Math.round(performance.now() - started), processes: living.length });
  const hurried = () => abort?.aborted === true;

  // Scanned as a whole before any process dies: a member whose parent is dead could not be found any more.
  let living: readonly ProcessRow[] = tree.refresh();
  for (const { step, grace } of ladder(mode, graces, target.platform, target.hasExited())) {
    if (living.length === 0 || (step !== 'SIGKILL' && hurried())) continue;
    begin(step, living);
    if (step === 'SIGKILL') living = await killUntilQuiet(target, living, grace);
    else {
      let left = grace;
      if (step === 'eof') target.closeStdin();
      else left = await sendSigterm(target, living, grace, abort);
      living = await waitForEnd(target, left, abort, step === 'eof' ? 'until the leader exits' : undefined);
      // Scanned as a whole again before each signal: a process forked meanwhile may have a session of its own.
      if (living.length > 0) living = tree.refresh();
    }
  }
  // One scan is no proof: a chain of forks may be missed by several scans.
  if (living.length === 0 && target.killRest) {
    const { killed, survivors } = await target.killRest();
    if (killed.length > 0 && steps.at(-1)?.step !== 'SIGKILL') begin('SIGKILL', killed);
    living = survivors;
  }
  return {
    pid: target.pid,
    endedBy: steps.at(-1)?.step ?? 'exit',
    steps,
    duration: Math.round(performance.now() - started),
    survivors: living.map(({ pid, command }) => ({ pid, command })),
  };
}

/** The rungs of the ladder, lowest first. */
function ladder(
  mode: EndMode,
  { eofGrace, termGrace }: Graces,
  { hasSigterm, pace }: Platform,
  leaderExited: boolean,
): Rung[] {
  const rungs: Rung[] = [{ step: 'SIGKILL', grace: pace.killGrace }];
  if (mode === 'emergency') return rungs;
  if (hasSigterm) rungs.unshift({ step: 'SIGTERM', grace: termGrace });
  if (!leaderExited) rungs.unshift({ step: 'eof', grace: eofGrace });
  return rungs;
}

/**
 * What {@link endTree} would do now. It scans the table, as the ladder does at first, so that the tree may learn of new
 * members; nothing else changes.
 */
export function planEnd(
  { pid, platform, tree, hasExited }: Pick<TerminationTarget, 'pid' | 'platform' | 'tree' | 'hasExited'>,
  graces: Graces,
  mode: EndMode,
): TreePlan {
  const living = tree.refresh();
  const rungs = living.length === 0 ? [] : ladder(mode, graces, platform, hasExited());
  const leader = { groups: [], pids: [pid] };
  const all = targetsOf(tree, living);
  return {
    steps: rungs.map((rung) => ({ ...rung, ...(rung.step === 'eof' ? leader : all) })),
    processes: living.map(({ pid, command }) => ({ pid, command })),
  };
}

/** Waits until the tree is dead, or the grace is over. Returns the living members. */
async function waitForEnd(
  target: TerminationTarget,
  grace: number,
  abort: AbortSignal | undefined,
  asleep?: 'until the leader exits',
): Promise<readonly ProcessRow[]> {
  let end = performance.now() + grace;
  // A living leader needs no polling: its exit ends the pause.
  if (asleep && !target.hasExited()) {
    await pause(grace, target, abort);
    if (target.hasExited()) end = Math.min(end, performance.now() + STRAGGLER_GRACE);
  }
  const { firstPoll, longestPoll } = target.platform.pace;
  for (let interval = firstPoll; ; interval = Math.min(interval * 2, longestPoll)) {
    const living = livingOf(target.tree);
    const left = end - performance.now();
    if (living.length === 0 || left <= 0 || abort?.aborted) return living;
    await pause(Math.min(interval, left), undefined, abort);
  }
}

/** Sends SIGTERM to all members. Returns what is left of the grace. */
async function sendSigterm(
  { platform, tree }: TerminationTarget,
  living: readonly ProcessRow[],
  grace: number,
  abort?: AbortSignal,
): Promise<number> {
  if (!platform.withoutInit) {
    signalTree(platform, tree, living, 'SIGTERM');
    return grace;
  }
  const started = performance.now();
  const rest = (delay: number) => pause(delay, undefined, abort);
  // The parent of a child that does not end gets no SIGTERM: it would end, and leave an orphan.
  await signalFromLeaves(platform, tree, 'SIGTERM', grace, rest, () => abort?.aborted === true);
  return grace - (performance.now() - started);
}

/**
 * Kills all living members. Without an init each is killed after its children; what has no children is killed in this
 * tick.
 */
export async function killMembers(platform: Platform, tree: ProcessSet, living: readonly ProcessRow[]): Promise<void> {
  if (platform.withoutInit) await signalFromLeaves(platform, tree, 'SIGKILL', COLLECT_GRACE, pause);
  signalTree(platform, tree, platform.withoutInit ? tree.refresh() : living, 'SIGKILL');
}

/** Kills, scans again, and kills what was forked meanwhile, until no member is left or the time is up. */
async function killUntilQuiet(
  target: TerminationTarget,
  first: readonly ProcessRow[],
  grace: number,
): Promise<readonly ProcessRow[]> {
  const { firstPoll, longestPoll } = target.platform.pace;
  const end = performance.now() + grace;
  if (target.platform.killTree) for (const root of rootsOf(first)) target.platform.killTree(root);
  // The cgroup is killed only if a member still lives at the next scan: it costs the kernel more than signals.
  else await killMembers(target.platform, target.tree, first);
  for (let interval = firstPoll; ; interval = Math.min(interval * 2, longestPoll)) {
    await pause(interval);
    const known = target.tree.living();
    // While known members live, the whole table is read only at the longest interval: it costs more than a few reads.
    if (known.length > 0 && interval < longestPoll) continue;
    const living = target.tree.refresh();
    if (living.length === 0 || performance.now() > end) return living;
    kill(target, living);
  }
}

function kill({ platform, tree, killCgroup }: TerminationTarget, living: readonly ProcessRow[]): void {
  signalTree(platform, tree, living, 'SIGKILL');
  killCgroup?.();
}

/** The members whose parent is no member: all others are below them. */
function rootsOf(members: readonly ProcessRow[]): ProcessRow[] {
  const pids = new Set(members.map(({ pid }) => pid));
  return members.filter(({ parent }) => !pids.has(parent));
}

/** Reads the known members; when these are dead, the whole table, which may show what they have forked. */
function livingOf(tree: ProcessSet): readonly ProcessRow[] {
  const known = tree.living();
  return known.length > 0 ? known : tree.refresh();
}

/** Signals all members, and no other process. */
export function signalTree(
  platform: Platform,
  tree: ProcessSet,
  members: readonly ProcessRow[],
  signal: NodeJS.Signals,
): void {
  const { groups, pids } = targetsOf(tree, members);
  for (const group of groups) platform.signalGroup(group, signal);
  for (const pid of pids) platform.signalProcess(pid, signal);
}

/** The groups that belong to the server, and the pids of the members that are in other groups. */
function targetsOf(tree: ProcessSet, members: readonly ProcessRow[]): SignalTargets {
  const groups = tree.groupsOf(members);
  return { groups: [...groups], pids: members.filter(({ group }) => !groups.has(group)).map(({ pid }) => pid) };
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
    const parents = new Set([...table.scan().values()].map(({ parent }) => parent));
    for (const row of waiting) {
      if (parents.has(row.pid)) continue;
      signalProcess(row.pid, signal);
      signalled.add(identity(row));
    }
    await rest(interval);
  }
}

/** Waits; ends early when the leader of `target` exits, or `abort` is aborted. Does not keep the host alive. */
function pause(delay: number, target?: TerminationTarget, abort?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      abort?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, timerDelay(delay));
    timer.unref();
    abort?.addEventListener('abort', done);
    target?.onceExited(done);
    if (abort?.aborted) done();
  });
}
