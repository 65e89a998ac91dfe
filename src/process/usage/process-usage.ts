import type { ProcessIdentity, ProcessRow } from '../process-table.js';

/** How a platform measures processes. Readings of several trees in one tick share what they can. */
export interface UsageSource {
  /** Measures the processes of one tree, again and again. */
  reader(): UsageReader;
  /** How long ago a process with that start time was started, ms; negative when the clocks disagree. */
  age(startTime: number): number;
  /**
   * The clock by which ages grow, ms, where that is not `performance.now()`: on Linux start times count the time in which the
   * machine sleeps.
   */
  now?(): number;
  /**
   * The members for a sample: what `look` finds in the process table, or those that are known where a look is too expensive
   * now. The same for all trees that are measured in one tick. Left out where each sample may look.
   */
  members?(known: readonly ProcessRow[] | undefined, look: () => readonly ProcessRow[]): readonly ProcessRow[];
  /** Bytes that a process has read and written so far; undefined when that may not be read, or it is gone. */
  io?(row: ProcessRow): number | undefined;
  /** Whether one of the processes of a tree has a connection to something outside of it. */
  areOnNetwork?(members: readonly ProcessRow[]): Promise<boolean>;
  /** What is too expensive for every sample. Undefined when the process is gone. */
  detail?(identity: ProcessIdentity): Promise<ProcessDetail | undefined>;
}

export interface UsageReader {
  /**
   * Measures those processes; what is gone by now is left out. Where this is no promise, all was read in this tick.
   * @throws with the errno when the system does not answer
   */
  read(members: readonly ProcessRow[]): readonly ProcessUsage[] | Promise<readonly ProcessUsage[]>;
  /** Closes what it keeps open. It can be used again. */
  close(): void;
}

/** The CPU time of one process, ms. */
export interface ProcessCpu {
  readonly pid: number;
  readonly startTime: number;
  readonly parent: number;
  /** How long ago it was started, ms; negative when the clocks disagree. */
  readonly age: number;
  readonly cpu: number;
  /** Of the children that it has collected, and of theirs; 0 where that is not known. */
  readonly childCpu: number;
}

/** What one process uses at one moment. A zombie uses nothing any more, but what it has used is still its own. */
export interface ProcessUsage extends ProcessCpu {
  readonly isZombie: boolean;
  readonly threads: number;
  /** Bytes. */
  readonly resident: number;
  /** Resident less shared, and what was swapped out of it, bytes. */
  readonly unique: number;
  /** Of what is shared that which is no copy of a file, bytes; 0 where it is not known. Processes of a tree may have the same. */
  readonly sharedMemory: number;
}

/** What is too expensive for every sample. A field is undefined when it may not be read, or not now. */
export interface ProcessDetail {
  readonly descriptors: number | undefined;
  /** Proportional set size, bytes: what several processes share is divided among them. */
  readonly pss: number | undefined;
}

/** What the kernel counts for all processes in a cgroup. A field is undefined where it does not. */
export interface CgroupFigures {
  /** What only their end would free, bytes. */
  readonly memory: number | undefined;
  /** Present where `memory` lacks what they had before they came in. */
  readonly isPart?: true;
  /** Of all that have ever been in it, ms. */
  readonly cpuTime: number | undefined;
}
