/** What the containment of processes consists of. */
export type ContainmentPart =
  | 'environment-marker'
  | 'rlimit-marker'
  | 'cgroup'
  | 'cgroup-limits'
  | 'guardian'
  | 'reaper'
  | 'ledger'
  | 'init';

/** Why a part of the containment is not in force on this host, or less than it could be. */
export interface ContainmentProblem {
  readonly part: ContainmentPart;
  /** What is missing, or failed, and what to do about it. No arguments or values of definitions. */
  readonly reason: string;
  /** What is no longer guaranteed, and what still is. */
  readonly consequence: string;
}

/** More than these are a fault of ours; the oldest are forgotten. */
const MOST = 50;

/** One list for the whole thread: what it says is true of the host, whichever pool noticed it. */
const known = new Map<string, ContainmentProblem>();
const listeners = new Set<(problem: ContainmentProblem) => void>();

/** Notes a problem, and tells it once to each pool that listens now. */
export function noteProblem(problem: ContainmentProblem): void {
  const key = `${problem.part}\0${problem.reason}`;
  if (known.has(key)) return;
  known.set(key, problem);
  const [oldest] = known.keys();
  if (known.size > MOST && oldest !== undefined) known.delete(oldest);
  for (const listener of [...listeners]) listener(problem);
}

/** It is as it should be again. */
export function forgetProblems(part: ContainmentPart): void {
  for (const [key, problem] of known) if (problem.part === part) known.delete(key);
}

/** What is known now, oldest first. */
export function knownProblems(): ContainmentProblem[] {
  return [...known.values()];
}

/** Calls `listener` for each problem that is noted from now on. Returns what ends that. */
export function onProblem(listener: (problem: ContainmentProblem) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
