import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { withDescriptor } from '../descriptors.js';
import type { ProcessOwner } from '../marks/evidence.js';
import { readOwner } from '../marks/mark-reader.js';
import { hostMark, MARK_VARIABLE, type MarkedHost, marksIn, rlimitIn } from '../marks/marker.js';
import type { ProcessRow } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import { readMemory } from '../usage/memory-files.js';
import { StdinReader, type StdinState } from './stdin-state.js';

/**
 * What is known of a process beside its row in the table. Each fact is read only when it is needed, because it costs
 * more. Of a process that is uninterruptible the command line and the environment are not read: both count as empty.
 */
export interface Inspector {
  /** Whether its real and its effective user are those of this process: a first answer, at little cost. */
  hasOurUser(pid: number): boolean;
  /**
   * Whether its real and its effective user are those of this process, by no setuid program that another user has started,
   * and it lives in the same pid namespace.
   */
  isOurUsers(pid: number): boolean;
  /** Its arguments joined by blanks. An empty string if it has none, such as a kernel thread. */
  commandLine(pid: number): string;
  /** Its unique memory, swap and shared memory included, as in `TreeUsage`, MB. 0 when it is gone. */
  memory(pid: number): number;
  /** The host that its marks name; `ours` also if this host is further out among the marks. */
  markedBy(pid: number): 'ours' | MarkedHost | undefined;
  /** The systemd unit of which it is the main process; undefined if it is none. */
  serviceOf(row: ProcessRow): string | undefined;
  stdin(pid: number): StdinState;
}

const MB = 1_048_576;
/** How a user namespace shows users that it does not have (overflowuid). */
const UNMAPPED = 65_534;

/** Reads a Linux machine by /proc. For one scan: it keeps some of what it has read. */
export class LinuxInspector implements Inspector {
  readonly #rows: ReadonlyMap<number, ProcessRow>;
  readonly #stdin: StdinReader;
  /** Kept, because it is read more than once. */
  readonly #status = new Map<number, string>();
  readonly #owners = new Map<number, ProcessOwner | undefined>();
  readonly #namespace = link('/proc/self/ns/pid');
  readonly #limit = limitOf('self');

  constructor(rows: ReadonlyMap<number, ProcessRow>) {
    this.#rows = rows;
    this.#stdin = new StdinReader(rows);
  }

  hasOurUser(pid: number): boolean {
    // Costs a tenth of what a file costs. What may not be dumped is shown as one of root.
    const shown = shownUser(pid);
    if (shown !== process.geteuid?.() && shown !== 0 && shown !== UNMAPPED) return false;
    const [real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(this.#statusOf(pid))?.slice(1).map(Number) ?? [];
    return real === process.getuid?.() && effective === process.geteuid?.();
  }

  isOurUsers(pid: number): boolean {
    if (!this.hasOurUser(pid)) return false;
    // Root in a container has the same user id as ours, but the processes there have an init, and hosts, of their own.
    const namespace = link(`/proc/${pid}/ns/pid`);
    const owner = this.#ownerOf(pid);
    // What may not be dumped does not show that link.
    const isHere = namespace === undefined ? owner?.isHere : namespace === this.#namespace;
    return isHere === true && owner?.isRaised === false;
  }

  commandLine(pid: number): string {
    // A program that writes a title there (npm) may leave blanks and NULs at the end.
    return this.#textOf(pid, 'cmdline')
      .replace(/[\0\s]+$/, '')
      .replaceAll('\0', ' ');
  }

  memory(pid: number): number {
    const row = this.#rows.get(pid);
    const { unique, sharedMemory } = (row && ifShown(() => readMemory(row))) ?? { unique: 0, sharedMemory: 0 };
    return Math.round(((unique + sharedMemory) / MB) * 10) / 10;
  }

  markedBy(pid: number): 'ours' | MarkedHost | undefined {
    const { id: own, number: ownNumber } = hostMark();
    const ids = hostsIn(this.#textOf(pid, 'environ'));
    const number = limitOf(pid);
    if (ids.includes(own) || number === ownNumber) return 'ours';
    // This process has inherited its own marks, and others have the same; of the other marks the innermost names the
    // host.
    const outer = new Set(hostsIn(`${MARK_VARIABLE}=${process.env[MARK_VARIABLE] ?? ''}`));
    const id = ids.findLast((host) => !outer.has(host));
    if (id !== undefined) return { id };
    return number === undefined || number === this.#limit ? undefined : { number };
  }

  serviceOf({ pid, session }: ProcessRow): string | undefined {
    const unit = /^(?:0:|\d+:name=systemd):.*\/([^/\n]+\.service)$/m.exec(readText(`/proc/${pid}/cgroup`))?.[1];
    if (unit === undefined) return undefined;
    // Since version 248 systemd sets SYSTEMD_EXEC_PID to the pid that it has started (systemd.exec(5)); descendants
    // inherit it. Before that, and where a service has forked: systemd makes its processes session leaders.
    const started = /(?:^|\0)SYSTEMD_EXEC_PID=(\d+)/.exec(this.#textOf(pid, 'environ'))?.[1];
    const isMain = started === undefined ? session === pid : Number(started) === pid;
    return isMain ? unit : undefined;
  }

  stdin(pid: number): StdinState {
    return this.#stdin.of(pid);
  }

  #ownerOf(pid: number): ProcessOwner | undefined {
    if (!this.#owners.has(pid)) this.#owners.set(pid, readOwner(pid, this.#mayHang(pid)));
    return this.#owners.get(pid);
  }

  #mayHang(pid: number): boolean {
    const row = this.#rows.get(pid);
    return row !== undefined && isUninterruptible(row);
  }

  /** Text in the memory of the process. */
  #textOf(pid: number, file: 'cmdline' | 'environ'): string {
    return this.#mayHang(pid) ? '' : readText(`/proc/${pid}/${file}`);
  }

  #statusOf(pid: number): string {
    const text = this.#status.get(pid) ?? readText(`/proc/${pid}/status`);
    this.#status.set(pid, text);
    return text;
  }
}

function hostsIn(environment: string): string[] {
  return marksIn(Buffer.from(environment, 'latin1')).map((mark) => mark.slice(0, mark.indexOf('.')));
}

function limitOf(pid: number | 'self'): number | undefined {
  const value = rlimitIn(readText(`/proc/${pid}/limits`));
  return value === undefined ? undefined : Number(value >> 31n);
}

/** An empty string when the process is gone or may not be read; nothing in that makes it a stray. */
function readText(path: string): string {
  return ifShown(() => withDescriptor(() => readFileSync(path, 'latin1'))) ?? '';
}

function shownUser(pid: number): number | undefined {
  return ifShown(() => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid);
}

function link(path: string): string | undefined {
  return ifShown(() => readlinkSync(path));
}

/** Undefined when the process is gone or may not be read. */
function ifShown<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
