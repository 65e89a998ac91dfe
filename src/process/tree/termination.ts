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
import { signalFromLeaves } from './leaves-first.js';
import type { ProcessSet } from './process-tree.js';

export interface TerminationTarget {
  readonly pid: number;
  readonly platform: Platform;
  readonly tree: ProcessSet;
  closeStdin(): void;
  /** Whether the leader's exit was seen. */
  hasExited(): boolean;
  /** Calls `wake` at the leader's exit. */
  onceExited(wake: () => void): void;
  /** Kills at once all whom the kernel holds together for us. */
  killCgroup?: (() => void) | undefined;
  /** Kills what looks at the table cannot find, until nobody is left. */
  killRest?: (() => Promise<KillReport>) | undefined;
}

/** What a leader that has exited may leave its helpers to finish by themselves before they are told to. */
const STRAGGLER_GRACE = 200;

/** How long parents may take to collect what was killed, where nobody else does. */
const COLLECT_GRACE = 300;

/**
 * The one way in which process trees end: close stdin, SIGTERM, SIGKILL, each with its grace; then proof, from the state
 * of each process, that nobody is left.
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

  // Seen whole before anything dies: a member whose parent is gone could not be found any more.
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
      // Looked at whole again before each signal: what was forked meanwhile may have a session of its own.
      if (living.length > 0) living = tree.refresh();
    }
  }
  // One look is no proof: what forks while it is looked at may be seen in none of several looks.
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

/** The rungs that a tree is led up, lowest first. */
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
 * What {@link endTree} would do now. Looks at the whole table, by which the tree gets to know members that it had not seen
 * yet, as by the first look of the ladder; nothing else changes.
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

/** Waits until the tree is dead, or the grace is over; returns who lives then. */
async function waitForEnd(
  target: TerminationTarget,
  grace: number,
  abort: AbortSignal | undefined,
  asleep?: 'until the leader exits',
): Promise<readonly ProcessRow[]> {
  let end = performance.now() + grace;
  // A leader that lives needs no polling: its exit wakes us.
  if (asleep && !target.hasExited()) {
    await pause(grace, target, abort);
    if (target.hasExited()) end = Math.min(end, performance.now() + STRAGGLER_GRACE);
  }
  const { firstPoll, longestPoll } = target.platform.pace;
  for (let interval = firstPoll; ; interval = Math.min(interval * 2, longestPoll)) {
    const living = whoLives(target.tree);
    const left = end - performance.now();
    if (living.length === 0 || left <= 0 || abort?.aborted) return living;
    await pause(Math.min(interval, left), undefined, abort);
  }
}

/** Asks all to end; returns how much of the grace is left. */
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
  // The parent of a child that does not end is not asked at all: it would end, and leave an orphan.
  await signalFromLeaves(platform, tree, 'SIGTERM', grace, rest, () => abort?.aborted === true);
  return grace - (performance.now() - started);
}

/** Kills all that live, each after its children where nobody else collects them; what has no children, in this tick. */
export async function killMembers(platform: Platform, tree: ProcessSet, living: readonly ProcessRow[]): Promise<void> {
  if (platform.withoutInit) await signalFromLeaves(platform, tree, 'SIGKILL', COLLECT_GRACE, pause);
  signalTree(platform, tree, platform.withoutInit ? tree.refresh() : living, 'SIGKILL');
}

/** Kills, looks again, and kills what was forked meanwhile, until nobody is left or the time is up. */
async function killUntilQuiet(
  target: TerminationTarget,
  first: readonly ProcessRow[],
  grace: number,
): Promise<readonly ProcessRow[]> {
  const { firstPoll, longestPoll } = target.platform.pace;
  const end = performance.now() + grace;
  if (target.platform.killTree) for (const root of rootsOf(first)) target.platform.killTree(root);
  // The cgroup is killed only if somebody lives at the next look: for the kernel that is more work than a signal.
  else await killMembers(target.platform, target.tree, first);
  for (let interval = firstPoll; ; interval = Math.min(interval * 2, longestPoll)) {
    await pause(interval);
    const known = target.tree.living();
    // The whole table is read only when those known are dead, or time runs out: a pass costs more than a few look-ups.
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

/** Those whose parent is no member: all others are below them. */
function rootsOf(members: readonly ProcessRow[]): ProcessRow[] {
  const pids = new Set(members.map(({ pid }) => pid));
  return members.filter(({ parent }) => !pids.has(parent));
}

/** The known members first, the whole table when these are dead: it may hold what they forked. */
function whoLives(tree: ProcessSet): readonly ProcessRow[] {
  const known = tree.living();
  return known.length > 0 ? known : tree.refresh();
}

/** Signals all members, nobody else. */
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

/** The groups that are ours, and by their own number the members that left for a group which is not. */
function targetsOf(tree: ProcessSet, members: readonly ProcessRow[]): SignalTargets {
  const groups = tree.groupsOf(members);
  return { groups: [...groups], pids: members.filter(({ group }) => !groups.has(group)).map(({ pid }) => pid) };
}

/** Ends early when the leader of `target` exits, or `abort` is aborted. Never keeps the host alive. */
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
