import type { StepListener } from '../launcher.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import type { EndMode, EndStep, Graces, Rung, Survivor, TerminationReport, TreePlan } from '../termination-report.js';
import { type KillTarget, killUntilDead, pause } from './kill-until-dead.js';
import type { ProcessSet } from './process-set.js';
import { signalFromLeaves, signalTree, targetsOf } from './signal-tree.js';

export interface TerminationTarget extends KillTarget {
  readonly pid: number;
  /** The living members, if a scan in this tick has shown them. */
  readonly seen?: readonly ProcessRow[] | undefined;
  closeStdin(): void;
}

/** How an end is hurried, and followed. */
interface Hurry {
  /** When aborted, it goes to SIGKILL at once. */
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: StepListener | undefined;
}

/** How long helpers may take to end by themselves after the exit of their leader, ms; then they get SIGTERM. */
const STRAGGLER_GRACE = 200;

/**
 * The one way in which process trees are ended: close stdin, SIGTERM, SIGKILL, each with its grace; then the proof,
 * from the state of each process, that none is left.
 */
export async function endTree(
  target: TerminationTarget,
  graces: Graces,
  mode: EndMode,
  { signal: abort, onStep }: Hurry = {},
): Promise<TerminationReport> {
  const started = performance.now();
  const steps: TerminationReport['steps'][number][] = [];
  const { tree } = target;
  const begin = (step: EndStep, { length: processes }: readonly ProcessRow[]) => {
    steps.push({ step, at: Math.round(performance.now() - started), processes });
    onStep?.(step, processes);
  };
  const hurried = () => abort?.aborted === true;

  // Scanned as a whole before any process dies: a member with a dead parent could not be found any more.
  let living = target.seen ?? tree.refresh();
  for (const { step, grace } of requests(mode, graces, target.platform, target.hasExited())) {
    if (living.length === 0 || hurried()) continue;
    begin(step, living);
    let left = grace;
    if (step === 'eof') target.closeStdin();
    else left = await sendSigterm(target, living, grace, abort);
    living = await waitForEnd(target, left, abort, step === 'eof' ? 'until the leader exits' : undefined);
    // Scanned as a whole again before each signal: a process forked meanwhile may have a session of its own.
    if (living.length > 0) living = tree.refresh();
  }
  if (living.length > 0) begin('SIGKILL', living);
  const { killed, survivors } = await killUntilDead(target, living);
  if (killed.length > 0 && steps.at(-1)?.step !== 'SIGKILL') begin('SIGKILL', killed);
  return {
    pid: target.pid,
    endedBy: steps.at(-1)?.step ?? 'exit',
    steps,
    duration: Math.round(performance.now() - started),
    survivors: survivors.map((row) => survivor(row, target.platform)),
  };
}

const NOT_ALLOWED = 'this user may not signal it (EPERM): it has changed its user';

function survivor({ pid, command }: ProcessRow, { mayNotSignal }: Platform): Survivor {
  return pid > 0 && mayNotSignal?.(pid) ? { pid, command, reason: NOT_ALLOWED } : { pid, command };
}

/** The rungs below SIGKILL, lowest first. */
function requests(
  mode: EndMode,
  { eofGrace, termGrace }: Graces,
  { hasSigterm }: Platform,
  leaderExited: boolean,
): Rung[] {
  const rungs: Rung[] = [];
  if (mode === 'emergency') return rungs;
  if (!leaderExited) rungs.push({ step: 'eof', grace: eofGrace });
  if (hasSigterm) rungs.push({ step: 'SIGTERM', grace: termGrace });
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
  const kill: Rung = { step: 'SIGKILL', grace: platform.pace.killGrace };
  const rungs = living.length === 0 ? [] : [...requests(mode, graces, platform, hasExited()), kill];
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
    if (target.hasExited()) {
      // Node reports many exits one after the other; all trees go on together, so that one look serves them.
      await pause(0);
      end = Math.min(end, performance.now() + STRAGGLER_GRACE);
    }
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
  const rest = async (delay: number) => void (await pause(delay, undefined, abort));
  // The parent of a child that does not end gets no SIGTERM: it would end, and leave an orphan.
  await signalFromLeaves(platform, tree, 'SIGTERM', grace, rest, () => abort?.aborted === true);
  return grace - (performance.now() - started);
}

/** Reads the known members; when these are dead, the whole table, which may show what they have forked. */
function livingOf(tree: ProcessSet): readonly ProcessRow[] {
  const known = tree.living();
  return known.length > 0 ? known : tree.refresh();
}
