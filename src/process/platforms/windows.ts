import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import treeKill from 'tree-kill';
import { messageOf, PoolError } from '../../errors.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { listedUsage } from '../usage/listed-usage.js';
import { sendSignal } from './linux.js';
import { forgetSoon, type ListedTable, type Listing, listedTable, type RunTool } from './listed-table.js';

/** How often samples of what is used read the table, ms: each time blocks the host for half a second. */
const LOOK_INTERVAL = 60_000;

/**
 * Windows. The identity is the pid and the microsecond of the start. Reading the table blocks the host for half a
 * second and more (1 to 2 s for the first start of PowerShell); therefore the ladder reads it seldom.
 *
 * There are no signals: the end of stdin asks a server to end, then it is killed. Children are not spawned detached,
 * because libuv puts a child that is not detached into a job of the host: Windows kills it with the host, whatever
 * kills the host (libuv, src/win/process.c, uv__init_global_job_handle). The children of a server are not in that job.
 *
 * Two cases remain. A pid may be reused between the scan and the kill, or while taskkill starts; not that of the
 * leader, which Node's handle holds until Node reports the exit. And if a member other than the leader dies before the
 * next scan, what it has started is not found.
 */
export function windowsPlatform(table: ListedTable = findPowerShell(), windows: WindowsTools = tools): Platform {
  const kill = (pid: number) => {
    windows.kill(pid);
    forgetSoon(table);
  };
  return {
    table,
    detached: false,
    hasSigterm: false,
    pace: { firstPoll: 250, longestPoll: 500, killGrace: 4_000 },
    usage: listedUsage({ ticksPerSecond: 1_000_000, lookInterval: LOOK_INTERVAL }),
    // There are no groups: this kills the leader alone.
    signalGroup: (leader, signal) => signal === 'SIGKILL' && kill(leader),
    signalProcess: (pid, signal) => signal === 'SIGKILL' && kill(pid),
    killTree(root) {
      const rows = table.scan();
      if (rows.get(root.pid)?.startTime !== root.startTime) return;
      const tree = descendants(rows, root.pid);
      const killEach = () => tree.forEach(kill);
      // taskkill compares no start times: it would kill children of an earlier process that had one of these pids.
      const wouldMistake = [...rows.values()].some(({ parent }) => parent < 0 && tree.has(-parent));
      if (wouldMistake || problemOf(windows) !== undefined) return killEach();
      try {
        // Its messages are translated and its exit code says little (128 also when a child was gone already). What is
        // left is found by the next scan, and killed one by one. The callback keeps an error of its child from being an
        // exception.
        windows.killTree(root.pid, () => table.forget());
      } catch {
        killEach();
      }
      forgetSoon(table);
    },
  };
}

/**
 * Prints one line for each process: pid, parent, start in 100 ns since 1601, name. It has no double quotes, because the
 * command line would lose them, and formats strings itself, so that nothing is wrapped or depends on the culture. A
 * process without a date belongs to the system (System Idle Process).
 */
const SCRIPT = [
  "$ErrorActionPreference = 'Stop'",
  "$ProgressPreference = 'SilentlyContinue'",
  'Get-CimInstance -ClassName Win32_Process -Property ProcessId,ParentProcessId,CreationDate,Name' +
    " | ForEach-Object { if ($_.CreationDate) { '{0} {1} {2} {3}' -f $_.ProcessId, $_.ParentProcessId, $_.CreationDate.ToFileTimeUtc(), $_.Name } }",
].join('; ');
/** 1970 in 100 ns since 1601. */
const EPOCH = 116_444_736_000_000_000n;

/** How the PowerShell of that Windows folder lists processes. */
export function windowsListing(root: string): Listing {
  return {
    tool: join(root, 'System32', 'WindowsPowerShell', 'v1.0', 'powershell.exe'),
    args: ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command', SCRIPT],
    // PowerShell does not start without SystemRoot, and finds its modules by the others.
    env: Object.fromEntries(
      ['SystemRoot', 'SystemDrive', 'windir', 'TEMP', 'ProgramFiles', 'PSModulePath', 'USERPROFILE', 'LOCALAPPDATA']
        .map((name) => [name, process.env[name]] as const)
        .filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    keep: 100,
    parse: parseWindows,
  };
}

/** @throws Error when a line has another format */
export function parseWindows(output: string): Map<number, ProcessRow> {
  const rows = new Map<number, ProcessRow>();
  for (const line of output.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const match = /^(\d+) (\d+) (\d+) (.*)$/.exec(line);
    if (match === null) throw new Error(`PowerShell wrote a line that is no process: '${line.slice(0, 100)}'`);
    const [, pid, parent, created = '', command = ''] = match;
    // Microseconds: what CreationDate holds, and a number holds exactly.
    const startTime = Number((BigInt(created) - EPOCH) / 10n);
    // Windows has no process groups, no such sessions, and no zombies: each process in the list lives.
    const row = { pid: Number(pid), parent: Number(parent), group: 0, session: 0, startTime, dead: false, command };
    rows.set(row.pid, row);
  }
  // Windows reuses pids soon, and a process keeps the pid of its parent after the parent's death. So if a process is
  // older than its parent, that one is another process. The pid is kept as a negative number, to know which processes
  // taskkill would kill by mistake.
  for (const row of rows.values()) {
    const parent = rows.get(row.parent);
    if (parent !== undefined && parent.startTime > row.startTime) rows.set(row.pid, { ...row, parent: -row.parent });
  }
  return rows;
}

/** The actions of Windows. A separate interface, because tests on other systems replace it. */
export interface WindowsTools {
  /** `taskkill /T /F`, by tree-kill. */
  killTree(pid: number, done: (error?: Error) => void): void;
  /** Why `killTree` must not be used, if so. */
  problem(): string | undefined;
  /** TerminateProcess: immediate, and only this process. */
  kill(pid: number): void;
}

const tools: WindowsTools = {
  killTree: (pid, done) => treeKill(pid, 'SIGKILL', done),
  problem: () => taskkillProblem(process.env.SystemRoot ?? 'C:\\Windows', process.cwd()),
  // Any signal that Node sends on Windows is TerminateProcess.
  kill: (pid) => sendSignal(pid, 'SIGKILL'),
};

/** Why tree-kill would not run the taskkill of the system; undefined if it would. */
export function taskkillProblem(root: string, cwd: string): string | undefined {
  if (!existsSync(join(root, 'System32', 'taskkill.exe'))) return 'there is no taskkill';
  // tree-kill uses cmd.exe, which searches the working directory before PATH.
  const planted = readdirSync(cwd).find((file) => /^taskkill(\.|$)/i.test(file));
  return planted && `cmd.exe would run ${planted} of the working directory`;
}

/** @throws PoolError `NOT_SUPPORTED` when PowerShell is missing or cannot list processes */
export function findPowerShell(root = process.env.SystemRoot ?? 'C:\\Windows', run?: RunTool): ListedTable {
  const listing = windowsListing(root);
  const table = listedTable(listing, run);
  try {
    table.scan();
    return table;
  } catch (error) {
    throw new PoolError(
      'NOT_SUPPORTED',
      `mcp-server-pool needs Windows PowerShell, which lists processes: ${listing.tool}: ${messageOf(error)}`,
    );
  }
}

/** A working directory that cannot be read counts as a problem: it may contain a taskkill. */
function problemOf(windows: WindowsTools): string | undefined {
  try {
    return windows.problem();
  } catch (error) {
    return messageOf(error);
  }
}

function descendants(rows: Map<number, ProcessRow>, root: number): Set<number> {
  const found = new Set([root]);
  for (const pid of found) for (const row of rows.values()) if (row.parent === pid) found.add(row.pid);
  return found;
}
