import type { ProcessControl, ProcessIdentity, ProcessRow } from '../process-table.js';

/** The processes that end with a server, as far as a scan has shown them. */
export interface ProcessSet {
  /**
   * Adopts all that is left in the group of the leader. Call it in the tick of the leader's exit: its row is gone by
   * then, and its pid cannot belong to another process yet. Returns the living members.
   */
  leaderExited(): ProcessRow[];
  /**
   * Reads the whole table: finds new members, forgets dead ones. Returns the living members.
   * @param killed members that got SIGKILL: they may be returned although they are dead by now, and need not be read
   */
  refresh(killed?: ReadonlyMap<number, ProcessIdentity>): ProcessRow[];
  /**
   * The members to measure, zombies too, by a loose look: it reads the known ones and what is new, and rarely the rest of the
   * machine. No signal is sent by what it returns.
   */
  present(): ProcessRow[];
  /** Reads only the known members: cheap, but finds no new ones. Returns the living members. */
  living(): ProcessRow[];
  /** Whether no known member lives. Reads them only until it finds one that does. */
  allDead(): boolean;
  /** Whether the last look shows a child of that process, zombies included. */
  hasChildren(pid: number): boolean;
  /** Kills all members without a scan, where one signal reaches them however they fork. */
  killUnseen?(processes: ProcessControl): void;
  /** The process groups of `members` that belong to this server by their number. A signal to them reaches no other process. */
  groupsOf(members: Iterable<ProcessRow>): Set<number>;
  /** False when nothing of this server is in the group that its leader has led: then its number may belong to others. */
  readonly hasLeaderGroup: boolean;
  /** Call it when all are dead: none is held any more. */
  forget(): void;
}

export function livingAmong(rows: readonly ProcessRow[]): ProcessRow[] {
  return rows.filter(({ dead }) => !dead);
}

/** The leader first, and parents before their children. */
export function inOrder(members: Iterable<ProcessRow>): ProcessRow[] {
  return [...members].sort((a, b) => a.startTime - b.startTime || a.pid - b.pid);
}
