import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import type { KillReport } from './kill-escaped.js';

/** The processes that end with a server, as far as a scan has shown them. */
export interface ProcessSet {
  /**
   * Adopts all that is left in the group of the leader. Call it in the tick of the leader's exit: its row is gone by
   * then, and its pid cannot belong to another process yet. Returns the living members.
   */
  leaderExited(): ProcessRow[];
  /** Reads the whole table: finds new members, forgets dead ones. Returns the living members. */
  refresh(): ProcessRow[];
  /** Reads only the known members: cheap, but finds no new ones. Returns the living members. */
  living(): ProcessRow[];
  /** Kills what is left more reliably than by scans of the table, where the set has a way to do so. */
  killRest?(platform: Platform): Promise<KillReport>;
  /** The process groups of `members` whose number belongs to this server. A signal to them reaches no other process. */
  groupsOf(members: Iterable<ProcessRow>): Set<number>;
}
