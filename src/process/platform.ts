import { errnoOf } from '../errors.js';
import { type CgroupFinder, findCgroup } from './cgroup/cgroup-probe.js';
import { procIdentity, type ShellIdentity } from './guardian/guardian-script.js';
import { type MarkReader, readMarks } from './marks/mark-reader.js';
import { linuxProcessTable, type ProcessRow, type ProcessTable } from './process-table.js';

/** Everything in which operating systems differ, as far as processes are concerned. */
export interface Platform {
  readonly table: ProcessTable;
  /** Whether a child is spawned as leader of a session and a group of its own, so that its tree can be signalled at once. */
  readonly detached: boolean;
  /** Whether a process can be asked to end. If not, the ladder goes from the end of stdin to killing. */
  readonly hasSigterm: boolean;
  readonly pace: Pace;
  /** Whether orphans are collected by nobody: then trees are signalled from their leaves upward. */
  readonly withoutInit?: boolean;
  /** How the marks of processes are read, where servers can be marked. */
  readonly marks?: MarkReader | undefined;
  /** How a shell knows a leader again, where a guardian can kill groups when the host is dead. */
  readonly identity?: ShellIdentity | undefined;
  /** Where servers get cgroups of their own. */
  readonly cgroups?: CgroupFinder | undefined;
  /** Signals all members of a group that is ours. Nobody there is no error. */
  signalGroup(group: number, signal: NodeJS.Signals): void;
  /** Signals one process that is ours. */
  signalProcess(pid: number, signal: NodeJS.Signals): void;
  /**
   * Where there are no groups: kills a process that is ours and all below it, also what was started since the last look.
   * Takes its time, so it is not for the last tick of the host.
   */
  killTree?(root: ProcessRow): void;
}

/** How often the ladder may look at the table, ms. */
export interface Pace {
  /** Until the first look; the next come after twice the time each. */
  readonly firstPoll: number;
  readonly longestPoll: number;
  /** How long SIGKILL may take, looks included. */
  readonly killGrace: number;
}

export const linux: Platform = {
  table: linuxProcessTable,
  detached: true,
  hasSigterm: true,
  // At first close, since a killed tree of 50 is dead within 4 ms; later sparing. A process in an uninterruptible system
  // call dies when that returns, or never.
  pace: { firstPoll: 1, longestPoll: 25, killGrace: 2_000 },
  marks: readMarks,
  identity: procIdentity,
  cgroups: findCgroup,
  signalGroup: (group, signal) => sendSignal(-group, signal),
  signalProcess: sendSignal,
};

/** Nobody there is no error. */
export function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    // ESRCH: dead meanwhile. EPERM: it changed its user; the proof will name it as a survivor.
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error;
  }
}
