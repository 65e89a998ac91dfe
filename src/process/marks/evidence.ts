import { environmentMatches, hostOf, type Mark, rlimitMatches } from './marker.js';

/** What a process shows that may be a mark. What is expensive may be read only when it is asked for. */
export interface MarkReading {
  /** The marks in its environment. Undefined: this user may not read it. */
  readonly marks: readonly string[] | undefined;
  /** Its limit of file locks, if that can be a mark. */
  readonly limit: bigint | undefined;
  /** Undefined when it is not shown, and for a process without any mark. */
  readonly owner: ProcessOwner | undefined;
  /** Whether its files belong to the user of this host: then `owner` is of use only in rare cases. Default: false. */
  readonly isOwn?: boolean;
}

/** What most processes show. */
export const UNMARKED: MarkReading = { marks: [], limit: undefined, owner: undefined };

/** An environment that may not be read shows no mark; the limit may nevertheless be one. */
export function isUnmarked(reading: MarkReading): boolean {
  const { marks } = reading;
  return (marks === undefined || marks.length === 0) && reading.limit === undefined;
}

/** The user of a process, and where it lives. */
export interface ProcessOwner {
  /** Its user. Undefined when its real, effective, saved and file system user differ, as those of a setuid program. */
  readonly user: number | undefined;
  /** Whether it is in the pid namespace of this /proc, and in our cgroup namespace: a container has others. */
  readonly isHere: boolean;
  /** The user that has logged in; it survives `sudo` and `su`. Undefined when no user has. */
  readonly login: number | undefined;
  /** Whether another user has started it, and it has got its user from a setuid program. */
  readonly isRaised: boolean;
}

/**
 * Why a process counts as one of ours. `environment`: it has our mark with its key, which other users cannot read.
 * `limit`: it has our number as its limit. `inner`: that of an inner host.
 */
export type MarkMatch = false | 'environment' | 'limit' | 'inner';

/** What is known to the search for one mark. */
export interface Seeker {
  readonly mark: Mark;
  /** A limit counts for these users: that of the host, and those that processes with our key have. */
  readonly users: Pick<ReadonlySet<number>, 'has'>;
  /** The user that has logged in and started the host. */
  readonly login: number | undefined;
  /** Whether a limit is that of an inner host that runs as `user`. */
  isInner(limit: bigint, user: number): boolean;
}

/**
 * Whether a process is ours by its marks. It says nothing about other processes in its group or session.
 *
 * Every user can read a limit, and set it for processes of its own. So a limit counts only for a user that can mark
 * processes by our key anyway: that of the host, and those of processes that have the key. All four users of the process
 * must be that one, no other user may have started it (a setuid program) or logged in for it (`sudo`), and it must be in
 * our namespaces (the root of a container has the number of ours).
 */
export function judge(reading: MarkReading, seeker: Seeker): MarkMatch {
  const { marks } = reading;
  const { mark, users } = seeker;
  if (marks !== undefined && environmentMatches(marks, mark)) return 'environment';
  const { limit } = reading;
  const user = limit === undefined ? undefined : authorOf(reading.owner, seeker);
  if (limit === undefined || user === undefined) return false;
  if (rlimitMatches(limit, mark)) return users.has(user) && !hasTwin(marks, mark) && 'limit';
  // A process with the marks of other hosts in its environment belongs to them.
  return (marks === undefined || marks.length === 0) && seeker.isInner(limit, user) && 'inner';
}

/**
 * Whether a process may have its limit from `parent`, which has the same one: a limit is inherited. So what a process of
 * another user has started does not count either, such as a program that `sudo` runs.
 */
export function mayInherit(parent: MarkReading, owner: ProcessOwner | undefined, seeker: Seeker): boolean {
  const author = authorOf(parent.owner, seeker);
  return author !== undefined && (author === owner?.user || seeker.users.has(author));
}

/** The user that has set the limit of a process; undefined when that can have been another one than that of the process. */
function authorOf(owner: ProcessOwner | undefined, { login }: Seeker): number | undefined {
  const user = owner?.user;
  if (user === undefined || !owner?.isHere || owner.isRaised) return undefined;
  return owner.login === undefined || owner.login === user || owner.login === login ? user : undefined;
}

/** Whether the environment names another host that has the same number by chance, or because a ledger was made for that. */
function hasTwin(marks: readonly string[] | undefined, { host }: Mark): boolean {
  return marks?.map(hostOf).some((other) => other?.number === host.number && other.id !== host.id) === true;
}
