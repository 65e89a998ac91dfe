/** The unit of start times on Linux, independent of the kernel's HZ. */
export const TICKS_PER_SECOND = 100;

/** The identity of a process. The pid alone is not enough, because pids are reused. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
}

/** One process, as far as the end of a tree needs it. */
export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /**
   * With the pid the identity of a process: on Linux clock ticks since boot, on macOS seconds, on Windows microseconds.
   * Not whole for a process that got the number of a held one within the same tick.
   */
  readonly startTime: number;
  /** True for a zombie, which only waits to be collected by its parent. */
  readonly dead: boolean;
  /** The system's name of the program (on Linux at most 15 characters). No arguments, because they may hold secrets. */
  readonly command: string;
  /**
   * A letter, as /proc shows it: `R` runs, `S` sleeps, `D` is in an uninterruptible system call, `T` and `t` are stopped. Left out
   * where the table does not show it, as the next ones.
   */
  readonly state?: string;
  /** CPU time until now, in ticks. */
  readonly cpu?: number;
  /** CPU time of the children that it has collected, and of theirs, in ticks. */
  readonly childCpu?: number;
  readonly threads?: number;
}

/** What the operating system shows of processes; one interface for all platforms. */
export interface ProcessTable {
  /** One process, or undefined when no process has that pid. Throws when the system does not answer. */
  read(pid: number): ProcessRow | undefined;
  /**
   * One process, as `read`; from now on, until `release` is called as often, no process that gets its number later is
   * shown with its start time. Only where the start time alone cannot tell that.
   */
  hold?(pid: number): ProcessRow | undefined;
  release?(identity: ProcessIdentity): void;
  /**
   * The process that a number belongs to, which `read` also answers for a thread: the first thread of a process has its number.
   * Undefined when that cannot be read. Only where threads have numbers.
   */
  processOf?(number: number): number | undefined;
  /** All processes, in one pass. Throws when the system does not answer. */
  scan(): Map<number, ProcessRow>;
  /** The pids of all processes: much cheaper than a scan. */
  pids?(): number[];
  /** The pid that was given last, to a process or a thread; 0 where the system does not show it. */
  newest?(): number;
  /** How many pids there are. The kernel gives each of them before it gives one again. */
  numbers?(): number;
  /** How many processes and threads the machine has started since boot; undefined where the system does not show it. */
  starts?(): number | undefined;
  /**
   * For tables that keep a result for some time, because it is expensive: the next call reads anew. Linux keeps
   * nothing.
   */
  forget?(): void;
}

/** The process table, and signals to its processes. */
export interface ProcessControl {
  readonly table: ProcessTable;
  /** Signals all members of a process group of ours. A missing group is not an error (ESRCH). */
  signalGroup(group: number, signal: NodeJS.Signals): void;
  /** Signals one process of ours. A missing process is not an error (ESRCH). */
  signalProcess(pid: number, signal: NodeJS.Signals): void;
}

/** The start time of a process that may be younger than a kept result of the table. */
export function identify(table: ProcessTable, pid: number): number | undefined {
  table.forget?.();
  return table.read(pid)?.startTime;
}

/** Whether that number belongs to a further thread of a process. False when that cannot be read. */
export function isThread(table: ProcessTable, number: number): boolean {
  const owner = table.processOf?.(number);
  return owner !== undefined && owner !== number;
}

/** Whether the table shows a process with this identity that is no zombie. */
export function isAlive(table: ProcessTable, pid: number, startTime: number): boolean {
  const row = table.read(pid);
  return row !== undefined && row.startTime === startTime && !row.dead;
}

/**
 * Whether a process began before another. Not within one tick: there a start time that is not whole only tells two processes
 * with the same number apart, and the child of such a process has a whole one.
 */
export function isOlder(a: Pick<ProcessIdentity, 'startTime'>, b: Pick<ProcessIdentity, 'startTime'>): boolean {
  return Math.floor(a.startTime) < Math.floor(b.startTime);
}

/** Holds that process. Undefined when no process has its number, or another one. */
export function holdSame(table: ProcessTable, { pid, startTime }: ProcessIdentity): ProcessRow | undefined {
  const row = table.hold?.(pid);
  if (row === undefined || row.startTime === startTime) return row;
  table.release?.(row);
  return undefined;
}
