/** Start times of Linux are in these, whatever the kernel counts in. */
export const TICKS_PER_SECOND = 100;

/** Who a process is: a pid alone may be somebody else by now. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
}

/** One process, as far as endings need to know it. */
export interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** With the pid the identity of a process: on Linux clock ticks since boot, on macOS seconds, on Windows microseconds. */
  readonly startTime: number;
  /** A zombie is dead: it only waits to be collected. */
  readonly dead: boolean;
  /** The system's name of the program (on Linux at most 15 characters); no arguments, which may hold secrets. */
  readonly command: string;
}

/** What the operating system knows about processes, behind which platforms differ. */
export interface ProcessTable {
  /** One process, or undefined when there is none of that pid. Throws when the system does not say. */
  read(pid: number): ProcessRow | undefined;
  /** All processes, in one pass. Throws when the system does not say. */
  scan(): Map<number, ProcessRow>;
  /** The pids of all processes: much cheaper than a scan. */
  pids?(): number[];
  /** Where a look is dear, and serves several who ask: the next one is to be made anew. Linux always looks anew. */
  forget?(): void;
}

/** The process table, and the signals to those that it shows. */
export interface ProcessControl {
  readonly table: ProcessTable;
  /** Signals all members of a group that is ours. Nobody there is no error. */
  signalGroup(group: number, signal: NodeJS.Signals): void;
  /** Signals one process that is ours. */
  signalProcess(pid: number, signal: NodeJS.Signals): void;
}

/** The start time of a process that may be younger than the last look. */
export function identify(table: ProcessTable, pid: number): number | undefined {
  table.forget?.();
  return table.read(pid)?.startTime;
}

/** Whether the table still knows this process under this identity, and not as a zombie. */
export function isAlive(table: ProcessTable, pid: number, startTime: number): boolean {
  const row = table.read(pid);
  return row !== undefined && row.startTime === startTime && !row.dead;
}
