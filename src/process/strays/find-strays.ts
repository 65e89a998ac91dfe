import { uptime } from 'node:os';
import { type FindStraysOptions, resolveFindStrays } from '../../config/stray-options.js';
import { PoolError } from '../../errors.js';
import { hostsIn, noteUnread } from '../guardian/dead-hosts.js';
import { hostGuard } from '../guardian/host-guard.js';
import { scopeName } from '../marks/host-origin.js';
import { linux } from '../platforms/linux.js';
import { linuxProcessTable } from '../platforms/linux-table.js';
import { registeredProcesses } from '../process-registry.js';
import type { ProcessRow } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';
import { LinuxInspector } from './inspector.js';
import { matching, slowPattern } from './matching.js';
import { StrayScan, type StraySystem } from './stray-scan.js';

/** A process that looks like an MCP server without a host, or a process below it. */
export interface Stray {
  /** Of the process. */
  readonly pid: number;
  /** With the pid the identity of the process: clock ticks since boot, not always whole. */
  readonly startTime: number;
  /** Names the boot of the machine, and the container, in which pid and start time count. */
  readonly scope: string;
  /** Pid of its parent now. */
  readonly parent: number;
  /** The system's name of the program, at most 15 characters. */
  readonly command: string;
  /**
   * The whole command line, its arguments joined by blanks. **It may contain secrets** (keys or connection strings
   * given as arguments): show it to the user that decides, but do not log it.
   */
  readonly commandLine: string;
  /** How long it has been running, ms. */
  readonly age: number;
  /** Its unique memory, MB, as `TreeUsage` has it: resident less copies of files, and what is swapped out. */
  readonly memoryMB: number;
  /** Why it is listed; one sentence each. */
  readonly reasons: readonly string[];
}

/** The unit of start times in /proc, independent of the kernel's HZ. */
const MS_PER_TICK = 10;

/**
 * Lists the processes of this user that look like abandoned MCP servers, and their descendants. Ends nothing: for that,
 * pass the entries that the host or its operator has chosen to `endStrays()`.
 *
 * A server is listed if all of this is true: init or another reaper has adopted it; its command line matches one of
 * `patterns`; it is older than `olderThan`; and no process holds the other end of its stdin. Never listed: this
 * process, its ancestors and the servers of its pools; a server that a process can still write to; services of systemd;
 * processes of other users or containers; zombies; kernel threads. Not judged, and so not listed: what is in an uninterruptible
 * system call (state D) at this moment, since to read its command line could stop the host.
 *
 * Blocks the host for some milliseconds, and about half a millisecond for each listed process. Linux only.
 *
 * @throws PoolError `INVALID_OPTIONS`, also when a pattern takes more than a second; `NOT_SUPPORTED` where there is no /proc
 */
export async function findStrays(options: FindStraysOptions = {}): Promise<Stray[]> {
  return straysOf(await localSystem('findStrays()'), options);
}

/** @throws PoolError `NOT_SUPPORTED` */
export function assertProc(what: string): void {
  if (process.platform !== 'linux' || linuxProcessTable.read(process.pid) === undefined) {
    // macOS: `ps` does not show which process holds the other end of a pipe, and a process that launchd has adopted looks like a
    // service.
    throw new PoolError(
      'NOT_SUPPORTED',
      `${what} needs /proc: on ${process.platform} an abandoned server cannot be distinguished from a service; list them with the system's own tools (ps -axo pid,ppid,etime,args)`,
    );
  }
}

/**
 * This machine.
 * @param hold whether the search for ledgers keeps the host alive
 * @throws PoolError `NOT_SUPPORTED`
 */
export async function localSystem(what: string, hold = true): Promise<StraySystem> {
  assertProc(what);
  const folders = await hostGuard(linux).findFolders(noteUnread, { hold });
  return {
    table: linux.table,
    inspect: (rows) => new LinuxInspector(rows),
    hostLives: hostsIn(folders, linux),
    registered: registeredProcesses,
    self: process.pid,
    scope: scopeName(),
    signal: linux.signalProcess,
  };
}

/** The same on any system, for tests. */
export function straysOf(system: StraySystem, options: FindStraysOptions, now = uptime() * 1_000): Stray[] {
  const { patterns, olderThan } = resolveFindStrays(options);
  const scan = new StrayScan(system);
  const { inspector, rows } = scan;
  const found = new Map<number, Stray>();
  // The checks of the row come first, because reading more of a process costs more.
  const adopted = [...rows.values()].filter(
    (row) =>
      age(row) >= olderThan && !isUninterruptible(row) && scan.adoption(row) !== undefined && scan.isCandidate(row),
  );
  const { matched, slow } = matching(patterns, new Map(adopted.map((row) => [row, inspector.commandLine(row.pid)])));
  if (slow !== undefined) throw slowPattern(slow);
  for (const [row, number] of matched) {
    const pattern = patterns[number];
    const abandonment = scan.abandonment(row);
    if (abandonment === undefined) continue;
    add(row, [...abandonment, `its command line matches ${typeof pattern === 'string' ? `'${pattern}'` : pattern}`]);
    for (const child of scan.below(row)) {
      if (!found.has(child.pid)) add(child, [`it descends from the stray ${row.pid}`]);
    }
  }
  return [...found.values()];

  function age({ startTime }: ProcessRow): number {
    return Math.max(0, Math.round(now - startTime * MS_PER_TICK));
  }

  function add(row: ProcessRow, reasons: string[]): void {
    const { pid, startTime, parent, command } = row;
    const [commandLine, memoryMB] = [inspector.commandLine(pid), inspector.memory(pid)];
    // What was read may belong to another process that got the pid meanwhile.
    if (system.table.read(pid)?.startTime !== startTime) return;
    found.set(pid, {
      pid,
      startTime,
      scope: system.scope,
      parent,
      command,
      commandLine,
      age: age(row),
      memoryMB,
      reasons,
    });
  }
}
