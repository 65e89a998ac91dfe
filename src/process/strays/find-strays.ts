import { uptime } from 'node:os';
import { type FindStraysOptions, resolveFindStrays } from '../../config/stray-options.js';
import { PoolError } from '../../errors.js';
import { hostLives } from '../guardian/dead-hosts.js';
import { hostGuard } from '../guardian/host-guard.js';
import { linux } from '../platforms/linux.js';
import { linuxProcessTable } from '../platforms/linux-table.js';
import type { ProcessRow } from '../process-table.js';
import { LinuxInspector } from './inspector.js';
import { Look, type StraySystem } from './look.js';

/** A process that looks like an MCP server whose host is gone, or one below such a process. */
export interface Stray {
  readonly pid: number;
  /** With the pid the identity of the process: clock ticks since boot. */
  readonly startTime: number;
  /** Pid of its parent now. */
  readonly parent: number;
  /** The system's name of the program, at most 15 characters. */
  readonly command: string;
  /**
   * The whole command line, its arguments joined by blanks. **It may hold secrets** (keys and connection strings that were
   * given as arguments): show it to whoever decides, but write it to no log.
   */
  readonly commandLine: string;
  /** How long it has been running, ms. */
  readonly age: number;
  /** Memory that is its own, without what it shares with others, MB. */
  readonly memoryMB: number;
  /** Why it is listed, one sentence each. */
  readonly reasons: readonly string[];
}

/** Start times of /proc are in these, whatever the kernel counts in. */
const MS_PER_TICK = 10;

/**
 * Lists the processes of this user that look like abandoned MCP servers, and all that descend from them. Ends nothing:
 * that takes `endStrays()` with what the host, or its operator, has chosen from the list.
 *
 * A server is listed when all of this holds: it was taken in by init or by another reaper; its command line matches one of
 * `patterns`; it is older than `olderThan`; and nobody holds the other end of its stdin. Never listed: this process, what it descends from and what its pools started; a
 * server that somebody can still speak to; services of systemd; processes of other users, of other containers, zombies,
 * threads of the kernel.
 *
 * The host is blocked meanwhile: for some milliseconds, and about half a millisecond for each process that is listed. Linux only.
 *
 * @throws PoolError `INVALID_OPTIONS`; `NOT_SUPPORTED` where there is no /proc
 */
export async function findStrays(options: FindStraysOptions = {}): Promise<Stray[]> {
  return straysOf(localSystem('findStrays()'), options);
}

/** This machine. @throws PoolError `NOT_SUPPORTED` */
export function localSystem(what: string): StraySystem {
  if (process.platform !== 'linux' || linuxProcessTable.read(process.pid) === undefined) {
    // macOS: `ps` does not say who holds the other end of a pipe, nor tells what launchd started from what it took in.
    throw new PoolError(
      'NOT_SUPPORTED',
      `${what} needs /proc: on ${process.platform} an abandoned server cannot be told from a service; list them with the system's own tools (ps -axo pid,ppid,etime,args)`,
    );
  }
  return {
    table: linux.table,
    inspect: (rows) => new LinuxInspector(rows),
    hostLives: (host) => hostLives(host, hostGuard(linux).folders, linux),
    self: process.pid,
    signal: linux.signalProcess,
  };
}

/** The same on any system, for tests. */
export function straysOf(system: StraySystem, options: FindStraysOptions, now = uptime() * 1_000): Stray[] {
  const { patterns, olderThan } = resolveFindStrays(options);
  const look = new Look(system);
  const { inspector, rows } = look;
  const found = new Map<number, Stray>();
  for (const row of rows.values()) {
    // What the row tells comes first: to read more of a process costs more.
    if (age(row) < olderThan || look.adoption(row) === undefined || !look.isCandidate(row)) continue;
    const commandLine = inspector.commandLine(row.pid);
    const pattern = patterns.find((one) =>
      typeof one === 'string' ? commandLine.includes(one) : commandLine.search(one) !== -1,
    );
    const abandonment = pattern === undefined ? undefined : look.abandonment(row);
    if (abandonment === undefined) continue;
    add(row, [...abandonment, `its command line matches ${typeof pattern === 'string' ? `'${pattern}'` : pattern}`]);
    for (const child of look.below(row)) {
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
    // What was read may be that of another process which got the number meanwhile.
    if (system.table.read(pid)?.startTime !== startTime) return;
    found.set(pid, { pid, startTime, parent, command, commandLine, age: age(row), memoryMB, reasons });
  }
}
