import { readdirSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../../errors.js';
import { isOlder, type ProcessIdentity, type ProcessRow, type ProcessTable } from '../process-table.js';
import { cgroupPids } from './cgroup-files.js';
import { cgroupMounts, folderOf, ownCgroup } from './cgroup-location.js';

/** How often it is tried to move strangers out. */
const ROUNDS = 5;

export interface AdoptionParts {
  /** The cgroup. */
  readonly folder: string;
  readonly leader: ProcessIdentity;
  /** Whether the exit of the leader was reported: then its number may belong to another process. */
  hasExited(): boolean;
  readonly table: ProcessTable;
  /** Whether a process has the mark of the server. */
  isMarked(row: ProcessRow): boolean;
}

/**
 * Moves a server that already runs into its cgroup, and the children that it has forked meanwhile.
 *
 * The kernel takes a number, not a process, and looks it up when the write has waited for some milliseconds. By then the
 * process may have ended, and another may have its number. Nothing prevents that: so each move is verified by the start
 * time, and a stranger is moved back before anything in the cgroup is killed.
 */
export class Adoption {
  readonly #parts: AdoptionParts;
  /** The processes that were in the cgroup, by pid, with their start times. */
  readonly #taken = new Map<number, number>();
  #isDoubtful = false;
  readonly #held: ProcessIdentity[] = [];

  constructor(parts: AdoptionParts) {
    this.#parts = parts;
  }

  /**
   * @returns whether all that is in the cgroup now belongs to the server
   * @throws with the errno when the kernel refuses
   */
  async run(): Promise<boolean> {
    const { folder, leader, hasExited, table } = this.#parts;
    try {
      const procs = await open(join(folder, 'cgroup.procs'), 'w');
      try {
        const isThere = (row: ProcessRow) => row.startTime === leader.startTime && !hasExited();
        if (await this.#take(procs, leader.pid, isThere)) await this.#takeChildren(procs);
      } finally {
        await procs.close();
      }
      return !this.#isDoubtful || (await moveStrangersOut(folder, table, (rows) => this.#strangersAmong(rows)));
    } finally {
      for (const row of this.#held) table.release?.(row);
    }
  }

  /**
   * A process in the cgroup forks into it. What was forked before is a child of a process that is in the cgroup now, or
   * an orphan, which its mark finds.
   */
  async #takeChildren(procs: FileHandle): Promise<void> {
    const { folder, leader, table } = this.#parts;
    const members: ProcessIdentity[] = [leader];
    for (const { pid } of members) {
      for (const child of childrenOf(pid)) {
        const row = table.hold ? table.hold(child) : table.read(child);
        if (row === undefined) continue;
        this.#held.push(row);
        // The number may belong to another process by now.
        if (row.parent !== pid || isOlder(row, leader)) continue;
        const isSame = ({ parent, startTime }: ProcessRow) => parent === pid && startTime === row.startTime;
        if (cgroupPids(folder).has(child) || (await this.#take(procs, child, isSame))) members.push(row);
      }
    }
  }

  /**
   * Moves one process, as long as `isSame` holds for the process with its number. False when it had ended before.
   */
  async #take(procs: FileHandle, pid: number, isSame: (row: ProcessRow) => boolean): Promise<boolean> {
    const read = () => {
      const row = this.#parts.table.read(pid);
      return row !== undefined && isSame(row) ? row : undefined;
    };
    // In the tick in which the write begins: a number that libuv has given back is not written.
    if (read() === undefined) return false;
    try {
      await procs.write(String(pid));
    } catch (error) {
      if (errnoOf(error) === 'ESRCH') return false;
      throw error;
    }
    const row = read();
    if (row) this.#taken.set(pid, row.startTime);
    else this.#isDoubtful = true;
    return true;
  }

  /** What neither descends from the server nor has its mark. */
  #strangersAmong(rows: ReadonlyMap<number, ProcessRow>): ProcessRow[] {
    const { leader, table, isMarked, hasExited } = this.#parts;
    // As long as the leader is there, its number is not given to another session.
    const isThere = !hasExited() && table.read(leader.pid)?.startTime === leader.startTime;
    const session = isThere ? leader.pid : undefined;
    if (!isThere) this.#taken.delete(leader.pid);
    const isOurs = ({ pid, startTime, session: of }: ProcessRow) =>
      this.#taken.get(pid) === startTime || of === session;
    const descendants = new Set([...rows.values()].filter(isOurs).map(({ pid }) => pid));
    for (let size = -1; size !== descendants.size; ) {
      size = descendants.size;
      for (const { pid, parent } of rows.values()) if (descendants.has(parent)) descendants.add(pid);
    }
    return [...rows.values()].filter((row) => isOlder(row, leader) || (!descendants.has(row.pid) && !isMarked(row)));
  }
}

/**
 * Moves processes that do not belong into a cgroup back to where they were.
 * @returns whether none is left
 */
export async function moveStrangersOut(
  folder: string,
  table: ProcessTable,
  strangersAmong: (rows: ReadonlyMap<number, ProcessRow>) => readonly ProcessRow[],
  homeOf: HomeFinder = cgroupOf,
): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round++) {
    const strangers = strangersAmong(rowsIn(folder, table));
    if (strangers.length === 0) return true;
    for (const stranger of strangers) await moveBack(stranger, folder, table, homeOf);
  }
  return strangersAmong(rowsIn(folder, table)).length === 0;
}

function rowsIn(folder: string, table: ProcessTable): Map<number, ProcessRow> {
  const rows = [...cgroupPids(folder)].map((pid) => table.read(pid)).filter((row) => row !== undefined);
  return new Map(rows.map((row) => [row.pid, row]));
}

/** The folder of the cgroup of a process; undefined where that is not visible. */
type HomeFinder = (pid: number) => string | undefined;

/**
 * A young process is where its parent is. If that does not show it: above our own cgroups. The kernel looks up this number
 * late, too: when the stranger has ended meanwhile, a third process that has got its number is where the stranger belongs,
 * and goes back to its own parent.
 */
async function moveBack(stranger: ProcessRow, folder: string, table: ProcessTable, homeOf: HomeFinder): Promise<void> {
  const home = homeOf(stranger.parent);
  const places = [...(home === undefined || isWithin(home, folder) ? [] : [home]), dirname(dirname(folder))];
  let place = await moveTo(places, stranger, table);
  let row = stranger;
  for (let round = 0; round < ROUNDS && place !== undefined; round++) {
    const now = table.read(row.pid);
    // It cannot be told where an orphan was.
    if (now === undefined || now.startTime === row.startTime || now.parent <= 1) return;
    const back = homeOf(now.parent);
    if (back === undefined || back === place || homeOf(now.pid) !== place) return;
    row = now;
    place = await moveTo([back], row, table);
  }
}

/** @returns the first of the places that has taken the number */
async function moveTo(
  places: readonly string[],
  { pid, startTime }: ProcessIdentity,
  table: ProcessTable,
): Promise<string | undefined> {
  for (const place of places) {
    let procs: FileHandle | undefined;
    try {
      procs = await open(join(place, 'cgroup.procs'), 'w');
      if (table.read(pid)?.startTime !== startTime) return undefined;
      await procs.write(String(pid));
      return place;
    } catch {
      // EACCES, EBUSY: the next place. ESRCH: it has ended, which the next round shows.
    } finally {
      await procs?.close();
    }
  }
  return undefined;
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function cgroupOf(pid: number): string | undefined {
  try {
    const path = ownCgroup(readFileSync(`/proc/${pid}/cgroup`, 'utf8'));
    const mounts = cgroupMounts(readFileSync('/proc/self/mountinfo', 'utf8'));
    return path === undefined
      ? undefined
      : mounts.map((mount) => folderOf(path, mount)).find((one) => one !== undefined);
  } catch {
    return undefined;
  }
}

/** An empty array where the kernel does not show children (CONFIG_PROC_CHILDREN). */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ').map(Number).filter(Boolean),
    );
  } catch {
    return [];
  }
}
