import { errnoOf, PoolError } from '../errors.js';
import { type MarkReader, readMarks } from './containment/mark-reader.js';
import { linuxProcessTable, type ProcessTable } from './process-table.js';

/** Everything in which operating systems differ, as far as processes are concerned. */
export interface Platform {
  readonly table: ProcessTable;
  /** Whether a child is spawned as leader of a session and a group of its own, so that its tree can be signalled at once. */
  readonly detached: boolean;
  /** How the marks of processes are read, where servers can be marked. */
  readonly marks?: MarkReader | undefined;
  /** Signals all members of a group that is ours. Nobody there is no error. */
  signalGroup(group: number, signal: NodeJS.Signals): void;
  /** Signals one process that is ours. */
  signalProcess(pid: number, signal: NodeJS.Signals): void;
}

export const linux: Platform = {
  table: linuxProcessTable,
  detached: true,
  marks: readMarks,
  signalGroup: (group, signal) => sendSignal(-group, signal),
  signalProcess: sendSignal,
};

function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    // ESRCH: dead meanwhile. EPERM: it changed its user; the proof will name it as a survivor.
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error;
  }
}

/**
 * The platform of this host.
 * @throws PoolError `NOT_SUPPORTED` anywhere but on Linux with /proc
 */
export function currentPlatform(name: NodeJS.Platform = process.platform): Platform {
  if (name === 'linux' && linuxProcessTable.read(process.pid) !== undefined) return linux;
  throw new PoolError(
    'NOT_SUPPORTED',
    name === 'linux'
      ? 'mcp-server-pool needs /proc, which cannot be read here: without it, it could not prove that a server is dead; mount it'
      : `mcp-server-pool supports Linux only in this version, not '${name}'`,
  );
}
