import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { errnoOf } from '../../errors.js';
import { addReserve, withDescriptor } from '../descriptors.js';
import type { ProcessRow, ProcessTable } from '../process-table.js';
import { HeldProcesses } from './held-processes.js';

/** A line of /proc/PID/stat is at most about 350 bytes: 50 numbers and a name of 15 bytes. */
const stat = Buffer.allocUnsafe(1024);
/** The kernel's default on a small machine. */
const LEAST_NUMBERS = 32_768;
const held = new HeldProcesses();
addReserve(() => held.giveBack(), 'last');

/**
 * Linux: /proc. Reads are synchronous on purpose: no disk is involved, and a pass takes some microseconds for each
 * process. The thread pool would need ten times as long, and the table would change meanwhile.
 */
export const linuxProcessTable: ProcessTable = {
  read(pid) {
    const descriptor = held.descriptorOf(pid);
    if (descriptor !== undefined) {
      const row = readOpen(descriptor);
      if (row !== undefined) return held.distinguish(row);
      held.noteGone(pid);
    }
    const opened = openStat(pid);
    if (opened === undefined) return seenFree(pid);
    try {
      const row = readOpen(opened);
      return row && held.distinguish(row);
    } finally {
      closeSync(opened);
    }
  },

  hold(pid) {
    if (held.descriptorOf(pid) !== undefined) {
      const row = linuxProcessTable.read(pid);
      if (row === undefined || held.add(row)) return row;
    }
    const opened = openStat(pid);
    if (opened === undefined) return seenFree(pid);
    let row: ProcessRow | undefined;
    try {
      const shown = readOpen(opened);
      row = shown && held.distinguish(shown);
    } finally {
      if (row === undefined) closeSync(opened);
    }
    if (row && !held.add(row)) held.keep(row, opened);
    else if (row) closeSync(opened);
    return row;
  },

  release: (identity) => held.release(identity),

  processOf(number) {
    try {
      const status = withDescriptor(() => readFileSync(`/proc/${number}/status`, 'latin1'));
      return Number(/^Tgid:\s+(\d+)$/m.exec(status)?.[1]);
    } catch {
      return undefined;
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

  newest() {
    const line = shortFile('/proc/loadavg') ?? '';
    return Number(line.slice(line.lastIndexOf(' ') + 1));
  },

  numbers: () => Number(shortFile('/proc/sys/kernel/pid_max')) || LEAST_NUMBERS,

  starts() {
    try {
      // A long file on a machine with many CPUs.
      const text = withDescriptor(() => readFileSync('/proc/stat', 'latin1'));
      const found = /^processes (\d+)$/m.exec(text);
      return found === null ? undefined : Number(found[1]);
    } catch {
      return undefined;
    }
  },
};

/** No process has the number: one that is held is gone, also if its descriptor was given back. */
function seenFree(pid: number): undefined {
  held.noteGone(pid);
}

/** Undefined when there is no such process. */
function openStat(pid: number): number | undefined {
  try {
    return withDescriptor(() => openSync(`/proc/${pid}/stat`, 'r'));
  } catch (error) {
    // ESRCH: its parent has collected it while its folder was entered.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return undefined;
    // Other errors say nothing about the process; to treat it as dead would be a guess.
    throw error;
  }
}

/** Undefined when its parent has collected it since it was opened. */
function readOpen(descriptor: number): ProcessRow | undefined {
  try {
    return parseStat(stat.toString('latin1', 0, readSync(descriptor, stat, 0, stat.length, 0)));
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}

/** The content of a short file; undefined when it cannot be read. */
function shortFile(path: string): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = withDescriptor(() => openSync(path, 'r'));
    return stat.toString('latin1', 0, readSync(descriptor, stat, 0, stat.length, 0));
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function listPids(): number[] {
  const pids: number[] = [];
  for (const entry of withDescriptor(() => readdirSync('/proc'))) {
    const first = entry.charCodeAt(0);
    if (first >= 48 && first <= 57) pids.push(Number(entry));
  }
  return pids;
}

/**
 * `pid (name) state ppid pgrp session … utime(14) stime cutime cstime … num_threads(20) … starttime(22) …`; the name may
 * hold blanks and parentheses.
 */
export function parseStat(line: string): ProcessRow | undefined {
  const open = line.indexOf('(');
  const close = line.lastIndexOf(')');
  if (open === -1 || close === -1) return undefined;
  const fields = line.slice(close + 2).split(' ', 20);
  const [state = ''] = fields;
  const threads = Number(fields[17]);
  return {
    pid: Number(line.slice(0, open)),
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
    // If the main thread of a living process ends before the others, the process shows as a zombie with threads.
    dead: (state === 'Z' && threads <= 1) || state === 'X' || state === 'x',
    command: line.slice(open + 1, close),
    state,
    cpu: Number(fields[11]) + Number(fields[12]),
    childCpu: Number(fields[13]) + Number(fields[14]),
    threads,
  };
}
