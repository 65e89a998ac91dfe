import { messageOf, PoolError } from '../../errors.js';
import { psIdentity } from '../guardian/guardian-script.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { listedUsage } from '../usage/listed-usage.js';
import { linux } from './linux.js';
import { forgetSoon, type ListedTable, type Listing, listedTable, type RunTool } from './listed-table.js';

/**
 * macOS, and Linux without /proc: groups and signals as on Linux, the table from `ps`.
 *
 * A process is identified by its pid and the second of its start. Parent, group and name cannot be part of the
 * identity, because they change in the life of a process (orphaned, `setsid`, `exec`), and a changed member would be
 * given up alive. One case remains: a pid that is reused within one second. macOS assigns pids in order up to 99,999,
 * so all the others would have to be used up in that second.
 *
 * tree-kill is not used here. On macOS it runs `pgrep` without an error listener, so a missing `pgrep`, or a host
 * without a free descriptor, is an uncaught exception, which no check beforehand can exclude. It checks no identity,
 * and one signal to the group reaches more processes than it finds.
 */
export function psPlatform(table: ListedTable = findPs()): Platform {
  return {
    ...linux,
    table,
    // This system does not show the limits and the environment of another process.
    marks: undefined,
    cgroups: undefined,
    usage: listedUsage({ ticksPerSecond: 1 }),
    identity: psIdentity(table.tool),
    pace: { firstPoll: 20, longestPoll: 250, killGrace: 2_000 },
    signalGroup(group, signal) {
      linux.signalGroup(group, signal);
      forgetSoon(table);
    },
    signalProcess(pid, signal) {
      linux.signalProcess(pid, signal);
      forgetSoon(table);
    },
  };
}

/** The places of `ps` on macOS and Linux. */
const PLACES = ['/bin/ps', '/usr/bin/ps'];
/**
 * Each column is an option of its own, as POSIX has it, because BSD may take the text after `=` as a header.
 * - `ucomm`, not `comm`: the kernel's name of the program. `comm` is a path on macOS, `args` may hold secrets.
 * - no `sess`: macOS shows 0 for every process (github.com/mjhoy/dotfiles/issues/15, dalance/procs/issues/359).
 * - `lstart`: the only start time that does not depend on now, in whole seconds.
 */
const COLUMNS = ['pid', 'ppid', 'pgid', 'stat', 'lstart', 'ucomm'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `pid ppid pgid stat lstart ucomm`; a zombie may have no start time. The name may hold blanks. */
const LINE =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(?:-|[A-Z][a-z]{2}\s+([A-Z][a-z]{2})\s+(\d{1,2})\s+(\d\d):(\d\d):(\d\d)\s+(\d{4}))(?:\s+(.*))?$/;

/** How the `ps` at that path lists processes. */
export function psListing(tool: string): Listing {
  return {
    tool,
    args: ['-ax', ...COLUMNS.flatMap((column) => ['-o', `${column}=`])],
    // `lstart` depends on language and time zone; the start time of a process must not change with summer time.
    env: { LC_ALL: 'C', TZ: 'UTC0', PATH: '/usr/bin:/bin' },
    keep: 10,
    parse: parsePs,
  };
}

/** @throws Error when a line begins like a process but is none, or a living process has no start time */
export function parsePs(output: string): Map<number, ProcessRow> {
  const rows = new Map<number, ProcessRow>();
  for (const line of output.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) {
      // A name may contain a line break; this is its second line.
      if (!/^\s*\d+\s+\d/.test(line)) continue;
      throw new Error(`ps wrote a line that is no process: '${line.slice(0, 100)}'`);
    }
    const [, pid, parent, group, state = '', month, day, hours, minutes, seconds, year, command = ''] = match;
    const dead = state.startsWith('Z') || state.startsWith('X');
    if (month === undefined && !dead) throw new Error(`ps shows no start time of process ${pid}`);
    const row: ProcessRow = {
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      // Not known. No process has the pid 0, so no process matches it or counts as a session leader.
      session: 0,
      startTime:
        month === undefined
          ? 0
          : Date.UTC(
              Number(year),
              MONTHS.indexOf(month),
              Number(day),
              Number(hours),
              Number(minutes),
              Number(seconds),
            ) / 1_000,
      dead,
      command: command.trimEnd(),
    };
    rows.set(row.pid, row);
  }
  return rows;
}

/**
 * The first `ps` that has all columns. That of busybox fails with an error: it knows neither `lstart` nor `ucomm`.
 * @throws PoolError `NOT_SUPPORTED` that names what is missing
 */
export function findPs(places: readonly string[] = PLACES, run?: RunTool): ListedTable {
  const problems: string[] = [];
  for (const place of places) {
    const table = listedTable(psListing(place), run);
    try {
      table.scan();
      return table;
    } catch (error) {
      problems.push(`${place}: ${messageOf(error)}`);
    }
  }
  throw new PoolError(
    'NOT_SUPPORTED',
    `mcp-server-pool needs a ps that shows parents, groups and start times (on Linux that of procps, or /proc): ${problems.join('; ')}`,
  );
}
