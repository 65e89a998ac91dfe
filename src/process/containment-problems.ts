/** The parts of the containment of processes. */
export type ContainmentPart =
  | 'environment-marker'
  | 'rlimit-marker'
  | 'cgroup'
  | 'cgroup-limits'
  | 'guardian'
  | 'reaper'
  | 'ledger'
  | 'init';

/** Why a part of the containment is missing on this host, or weaker than it could be. */
export interface ContainmentProblem {
  readonly part: ContainmentPart;
  /** What is missing or failed, and what to do about it. Contains no arguments or values of definitions. */
  readonly reason: string;
  /** What is no longer guaranteed, and what still is. */
  readonly consequence: string;
}

/** More problems than this would be a fault of ours; the oldest are dropped. */
const MOST = 50;

/** One list for the whole thread: a problem concerns the host, whichever pool has noticed it. */
const known = new Map<string, ContainmentProblem>();
const listeners = new Set<(problem: ContainmentProblem) => void>();

/** Adds a problem to the list. A new one is passed to all listeners. */
export function noteProblem(problem: ContainmentProblem): void {
  const key = `${problem.part}\0${problem.reason}`;
  if (known.has(key)) return;
  known.set(key, problem);
  const [oldest] = known.keys();
  if (known.size > MOST && oldest !== undefined) known.delete(oldest);
  for (const listener of [...listeners]) listener(problem);
}

/** Removes the problems of a part that works again. */
export function forgetProblems(part: ContainmentPart): void {
  for (const [key, problem] of known) if (problem.part === part) known.delete(key);
}

/** The known problems, oldest first. */
export function knownProblems(): ContainmentProblem[] {
  return [...known.values()];
}

/** Calls `listener` for each new problem. Returns a function that ends this. */
export function onProblem(listener: (problem: ContainmentProblem) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}
