import { closeSync, openSync, readlinkSync, readSync, statSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { withDescriptor } from '../descriptors.js';
import { type MarkReading, type ProcessOwner, UNMARKED } from './evidence.js';
import { marksIn, rlimitIn } from './marker.js';
import { isRaised } from './raised.js';

/**
 * Reads the marks of a process; undefined when it is gone. Throws when the system does not say.
 * @param isSame whether the number still belongs to that process; allows to read a part only when it is asked for
 * @param mayHang whether it is uninterruptible: then its environment is not read, as if this user might not
 */
export type MarkReader = (pid: number, isSame?: () => boolean, mayHang?: boolean) => MarkReading | undefined;

/**
 * Most environments have less than 4 KB; args and environment together may have 6 MB. The buffer grows, and is reused.
 */
let environ = Buffer.allocUnsafe(65_536);
/** A buffer that is read full may not hold all: this much more makes the next read of that size the last. */
const ROOM = 4_096;
/** /proc/PID/limits has 17 lines of 80 bytes, /proc/PID/status about 60 lines. */
const text = Buffer.allocUnsafe(4_096);

/**
 * Linux. The limit is read beside the environment, because that may have been emptied (`env -i`), overwritten by a
 * program that shows a title there, or may not be read because the process is not dumpable or has another user. The
 * owner is read only where there is a mark.
 */
export const readMarks: MarkReader = (pid, isSame, mayHang) => {
  const environment = mayHang ? 'forbidden' : readWhole(`/proc/${pid}/environ`, environ);
  if (environment === 'gone') return undefined;
  const hidden = environment === 'forbidden';
  // Keep the larger buffer for the next large environment.
  if (!hidden && environment.length > environ.length) environ = Buffer.allocUnsafe(environment.length + ROOM);
  const marks = hidden ? undefined : marksIn(environment);
  if (isSame && marks !== undefined && marks.length > 0) return new MarkedProcess(pid, marks, isSame);
  const limit = readLimit(pid);
  if (limit === undefined && (marks === undefined || marks.length === 0)) return UNMARKED;
  return { marks, limit, owner: readOwner(pid, mayHang) };
};

/** A process with marks in its environment, which mostly decide alone: its limit and its owner are read when they do not. */
class MarkedProcess implements MarkReading {
  readonly marks: readonly string[];
  /** Whether /proc shows it as one of this user. What is not dumpable is shown as one of root. */
  readonly isOwn: boolean;
  readonly #pid: number;
  readonly #isSame: () => boolean;
  #limit: { readonly value: bigint | undefined } | undefined;
  #owner: { readonly value: ProcessOwner | undefined } | undefined;

  constructor(pid: number, marks: readonly string[], isSame: () => boolean) {
    this.#pid = pid;
    this.marks = marks;
    this.#isSame = isSame;
    this.isOwn = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === process.geteuid?.();
  }

  get limit(): bigint | undefined {
    this.#limit ??= this.#checked(readLimit(this.#pid));
    return this.#limit.value;
  }

  get owner(): ProcessOwner | undefined {
    this.#owner ??= this.#checked(readOwner(this.#pid));
    return this.#owner.value;
  }

  /** What was read may be that of another process which got the number. */
  #checked<T>(value: T | undefined): { readonly value: T | undefined } {
    return { value: this.#isSame() ? value : undefined };
  }
}

/** Undefined when it cannot be a mark. */
function readLimit(pid: number): bigint | undefined {
  const limits = readWhole(`/proc/${pid}/limits`, text);
  return typeof limits === 'string' ? undefined : rlimitIn(limits.toString('latin1'));
}

/** The login of a process that no user has logged in for. */
export const NO_LOGIN = 0xffff_ffff;

/**
 * The owner of a process; undefined when the system does not show it.
 * @param mayHang whether it is uninterruptible: then what the kernel has noted at its start is not read
 */
export function readOwner(pid: number | 'self', mayHang = false): ProcessOwner | undefined {
  const status = readWhole(`/proc/${pid}/status`, text);
  if (typeof status === 'string') return undefined;
  const lines = status.toString('latin1');
  const users = numbersIn(lines, 'Uid');
  const [real] = users;
  if (real === undefined) return undefined;
  const user = users.every((one) => one === real) ? real : undefined;
  const namespaces = numbersIn(lines, 'NSpid').length;
  // Kernels without auditing have no such file.
  const login = readWhole(`/proc/${pid}/loginuid`, text);
  const loggedIn = typeof login === 'string' ? NO_LOGIN : Number(login.toString('latin1'));
  return {
    user,
    // A line for each namespace below that of /proc. Kernels before 4.1 do not show it.
    isHere: namespaces <= 1 && hasOurCgroups(pid),
    login: loggedIn === NO_LOGIN ? undefined : loggedIn,
    isRaised:
      user !== undefined && isRaised(mayHang ? undefined : startOf(pid), user, () => groupsIn(lines) === ownGroups()),
  };
}

let ownCgroups: string | undefined;

/**
 * Whether it has the cgroup namespace of this process. A container has another one, also if it shares the pids of the
 * machine (`--pid=host`); what a host starts has that of the host. True where that is not shown.
 */
function hasOurCgroups(pid: number | 'self'): boolean {
  ownCgroups ??= cgroupNamespace('self');
  return ownCgroups === undefined || (cgroupNamespace(pid) ?? ownCgroups) === ownCgroups;
}

function cgroupNamespace(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/cgroup`);
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** What the kernel has noted when the program was started. Undefined where it is not shown. */
function startOf(pid: number | 'self'): Buffer | undefined {
  const note = readWhole(`/proc/${pid}/auxv`, text);
  return typeof note === 'string' ? undefined : note;
}

/** The real group of a process, and its further ones: only a process with the rights of root can change the latter. */
function groupsIn(status: string): string {
  const further = numbersIn(status, 'Groups').sort((a, b) => a - b);
  return [numbersIn(status, 'Gid')[0], ...further].join(' ');
}

/** Read each time: a host may give up its groups when it has started. */
function ownGroups(): string {
  const status = readWhole('/proc/self/status', text);
  return typeof status === 'string' ? '' : groupsIn(status.toString('latin1'));
}

function numbersIn(lines: string, name: string): number[] {
  const line = new RegExp(`^${name}:((?:[ \\t]+\\d+)+) *$`, 'm').exec(lines)?.[1];
  return line === undefined ? [] : line.trim().split(/\s+/).map(Number);
}

/** Synchronous on purpose, like the process table: no disk is involved, and the table would change meanwhile. */
function readWhole(path: string, given: Buffer): Buffer | 'gone' | 'forbidden' {
  let descriptor: number | undefined;
  try {
    descriptor = withDescriptor(() => openSync(path, 'r'));
    let buffer = given;
    let length = 0;
    for (;;) {
      const read = readSync(descriptor, buffer, length, buffer.length - length, length);
      length += read;
      if (read === 0 || length < buffer.length) return buffer.subarray(0, length);
      buffer = Buffer.concat([buffer], buffer.length * 2);
    }
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ESRCH') return 'gone';
    if (errno === 'EACCES' || errno === 'EPERM') return 'forbidden';
    // EMFILE and similar errors say nothing about the process; to treat it as unrelated would be a guess.
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
