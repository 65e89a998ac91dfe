import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { errnoOf } from '../errors.js';

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

/** The start time of a process that may be younger than the last look. */
export function identify(table: ProcessTable, pid: number): number | undefined {
  table.forget?.();
  return table.read(pid)?.startTime;
}

/** A line of /proc/PID/stat is at most about 350 bytes: 50 numbers and a name of 15 bytes. */
const stat = Buffer.allocUnsafe(1024);

/**
 * Linux: /proc. Reads are synchronous on purpose. They never touch a disk, and a pass takes some microseconds for
 * each process, where the thread pool would take ten times as long and the table would change meanwhile.
 */
export const linuxProcessTable: ProcessTable = {
  read(pid) {
    let descriptor: number;
    try {
      descriptor = openSync(`/proc/${pid}/stat`, 'r');
    } catch (error) {
      // Anything else, such as EMFILE, says nothing about the process: to take it for dead would be a guess.
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      return parseStat(stat.toString('latin1', 0, readSync(descriptor, stat, 0, stat.length, 0)));
    } catch (error) {
      // It was collected between open and read.
      if (errnoOf(error) === 'ESRCH') return undefined;
      throw error;
    } finally {
      closeSync(descriptor);
    }
  },

  scan() {
    const rows = new Map<number, ProcessRow>();
    for (const pid of listPids()) {
      const row = linuxProcessTable.read(pid);
      if (row !== undefined) rows.set(row.pid, row);
    }
    return rows;
  },

  pids: listPids,
};

function listPids(): number[] {
  const pids: number[] = [];
  for (const entry of readdirSync('/proc')) {
    const first = entry.charCodeAt(0);
    if (first >= 48 && first <= 57) pids.push(Number(entry));
  }
  return pids;
}

/** `pid (name) state ppid pgrp session … starttime(22) …`; the name may hold blanks and parentheses. */
export function parseStat(line: string): ProcessRow | undefined {
  const open = line.indexOf('(');
  const close = line.lastIndexOf(')');
  if (open === -1 || close === -1) return undefined;
  const fields = line.slice(close + 2).split(' ', 20);
  const state = fields[0];
  return {
    pid: Number(line.slice(0, open)),
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
    // The main thread of a living process may have ended before the others: then it shows as a zombie with threads.
    dead: (state === 'Z' && Number(fields[17]) <= 1) || state === 'X' || state === 'x',
    command: line.slice(open + 1, close),
  };
}
