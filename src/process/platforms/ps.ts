import { messageOf, PoolError } from '../../errors.js';
import { psIdentity } from '../guardian/guardian-script.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { linux } from './linux.js';
import { forgetSoon, type ListedTable, type Listing, listedTable, type RunTool } from './listed-table.js';

/** Where `ps` is on macOS, and on Linux. */
const PLACES = ['/bin/ps', '/usr/bin/ps'];
/**
 * Each column by an option of its own, as POSIX has it: after `=` BSD may take the rest of the argument for a header.
 * - `ucomm`, not `comm`: the kernel's name of the program. `comm` is a path on macOS, `args` may hold secrets.
 * - no `sess`: macOS shows 0 for every process (github.com/mjhoy/dotfiles/issues/15, dalance/procs/issues/359).
 * - `lstart`: the only start time that does not depend on now, in whole seconds.
 */
const COLUMNS = ['pid', 'ppid', 'pgid', 'stat', 'lstart', 'ucomm'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `pid ppid pgid stat lstart ucomm`; a zombie may have no start time. The name may hold blanks. */
const LINE =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(?:-|[A-Z][a-z]{2}\s+([A-Z][a-z]{2})\s+(\d{1,2})\s+(\d\d):(\d\d):(\d\d)\s+(\d{4}))(?:\s+(.*))?$/;

/** How `ps` in that place is asked. */
export function psListing(tool: string): Listing {
  return {
    tool,
    args: ['-ax', ...COLUMNS.flatMap((column) => ['-o', `${column}=`])],
    // `lstart` is written in the language and the time zone of whoever asks; a change of summer time must not make one
    // process look like another.
    env: { LC_ALL: 'C', TZ: 'UTC0', PATH: '/usr/bin:/bin' },
    keep: 10,
    parse: parsePs,
  };
}

/** @throws Error when a line that begins like a process is none, or one has no start time though it lives */
export function parsePs(output: string): Map<number, ProcessRow> {
  const rows = new Map<number, ProcessRow>();
  for (const line of output.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) {
      // The rest of a name with a line break in it.
      if (!/^\s*\d+\s+\d/.test(line)) continue;
      throw new Error(`ps wrote a line that is no process: '${line.slice(0, 100)}'`);
    }
    const [, pid, parent, group, state = '', month, day, hours, minutes, seconds, year, command = ''] = match;
    const dead = state.startsWith('Z') || state.startsWith('X');
    if (month === undefined && !dead) throw new Error(`ps tells no start time of process ${pid}`);
    const row: ProcessRow = {
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      // Not known. No process has the number 0, so nobody is found by it, and nobody is taken for a leader.
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
 * The first `ps` that can say what is needed. The one of busybox cannot: it knows neither `lstart` nor `ucomm`, and says so.
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

/**
 * macOS, and a Linux without /proc: groups and signals as on Linux, the table from `ps`.
 *
 * A process is identified by its number and the second it was started in. Nothing else of it could be added: parent, group
 * and name change in the life of a process (orphaned, `setsid`, `exec`), and a member that changed would be given up alive.
 * What remains: a number that is given again within one second. macOS gives them in order up to 99,999, so all the others
 * would have to be used up in that second.
 *
 * tree-kill has no part in this: on macOS it runs `pgrep` without a listener for its errors, so that a missing `pgrep`, or
 * a host without a free descriptor, is an uncaught exception, which no look beforehand rules out; it checks no identity;
 * and one signal to the group reaches more than it finds.
 */
export function psPlatform(table: ListedTable = findPs()): Platform {
  return {
    ...linux,
    table,
    // The limits and the environment of another process are not shown.
    marks: undefined,
    cgroups: undefined,
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
