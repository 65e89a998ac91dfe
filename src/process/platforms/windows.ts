import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import treeKill from 'tree-kill';
import { messageOf, PoolError } from '../../errors.js';
import type { Platform } from '../platform.js';
import type { ProcessRow } from '../process-table.js';
import { sendSignal } from './linux.js';
import { forgetSoon, type ListedTable, type Listing, listedTable, type RunTool } from './listed-table.js';

/**
 * One line a process: number, number of its parent, start in 100 ns since 1601, name. No double quotes, so that nothing is
 * lost on the command line; plain strings, so that nothing is wrapped, translated or in the words of a culture. A process
 * without a date is the system's own (System Idle Process).
 */
const SCRIPT = [
  "$ErrorActionPreference = 'Stop'",
  "$ProgressPreference = 'SilentlyContinue'",
  'Get-CimInstance -ClassName Win32_Process -Property ProcessId,ParentProcessId,CreationDate,Name' +
    " | ForEach-Object { if ($_.CreationDate) { '{0} {1} {2} {3}' -f $_.ProcessId, $_.ParentProcessId, $_.CreationDate.ToFileTimeUtc(), $_.Name } }",
].join('; ');
/** 1970 in 100 ns since 1601. */
const EPOCH = 116_444_736_000_000_000n;

/** How PowerShell in that folder of Windows is asked. */
export function windowsListing(root: string): Listing {
  return {
    tool: join(root, 'System32', 'WindowsPowerShell', 'v1.0', 'powershell.exe'),
    args: ['-NoLogo', '-NoProfile', '-NonInteractive', '-Command', SCRIPT],
    // PowerShell does not start without SystemRoot, and looks for its modules by the others.
    env: Object.fromEntries(
      ['SystemRoot', 'SystemDrive', 'windir', 'TEMP', 'ProgramFiles', 'PSModulePath', 'USERPROFILE', 'LOCALAPPDATA']
        .map((name) => [name, process.env[name]] as const)
        .filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    keep: 100,
    parse: parseWindows,
  };
}

/** @throws Error when a line is no process */
export function parseWindows(output: string): Map<number, ProcessRow> {
  const rows = new Map<number, ProcessRow>();
  for (const line of output.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const match = /^(\d+) (\d+) (\d+) (.*)$/.exec(line);
    if (match === null) throw new Error(`PowerShell wrote a line that is no process: '${line.slice(0, 100)}'`);
    const [, pid, parent, created = '', command = ''] = match;
    // Microseconds: what CreationDate holds, and a number holds exactly.
    const startTime = Number((BigInt(created) - EPOCH) / 10n);
    // There are neither groups nor sessions of that kind, and no zombies: who is in the list lives.
    const row = { pid: Number(pid), parent: Number(parent), group: 0, session: 0, startTime, dead: false, command };
    rows.set(row.pid, row);
  }
  // Numbers are given again soon, and a process keeps that of its parent after the parent's death: one that is older than
  // its parent is a stranger's child. Kept as a negative number, which nobody has, to know whom taskkill would mistake.
  for (const row of rows.values()) {
    const parent = rows.get(row.parent);
    if (parent !== undefined && parent.startTime > row.startTime) rows.set(row.pid, { ...row, parent: -row.parent });
  }
  return rows;
}

/** What Windows is asked to do. Apart, because it can be tried out on Windows only. */
export interface WindowsTools {
  /** `taskkill /T /F`, by tree-kill. */
  killTree(pid: number, done: (error?: Error) => void): void;
  /** Why `killTree` must not be used, if so. */
  problem(): string | undefined;
  /** TerminateProcess: at once, and the one process only. */
  kill(pid: number): void;
}

const tools: WindowsTools = {
  killTree: (pid, done) => treeKill(pid, 'SIGKILL', done),
  problem: () => taskkillProblem(process.env.SystemRoot ?? 'C:\\Windows', process.cwd()),
  // Any signal that Node sends on Windows is TerminateProcess.
  kill: (pid) => sendSignal(pid, 'SIGKILL'),
};

/** Why tree-kill would not run the taskkill of the system, if so. */
export function taskkillProblem(root: string, cwd: string): string | undefined {
  if (!existsSync(join(root, 'System32', 'taskkill.exe'))) return 'there is no taskkill';
  // tree-kill goes through cmd.exe, which looks into the working directory before PATH.
  const planted = readdirSync(cwd).find((file) => /^taskkill(\.|$)/i.test(file));
  return planted && `cmd.exe would run ${planted} of the working directory`;
}

/** @throws PoolError `NOT_SUPPORTED` when there is no PowerShell, or it cannot list processes */
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

/**
 * Windows. Identity is the number and the microsecond of the start. A look costs half a second and more, in which the host
 * is blocked (the first start of PowerShell 1 to 2 s); the ladder looks seldom therefore.
 *
 * There are no signals: a server is asked by the end of its stdin, then killed. Children are not spawned detached, since
 * libuv puts such a one into a job of the host: Windows kills it with the host, whatever kills that (libuv,
 * src/win/process.c, uv__init_global_job_handle). Its own children are not in that job.
 *
 * What remains: a number that is given again between the look and the kill (or while taskkill starts), for all but the
 * leader, whose number is held by Node's handle until its exit was told; and what a member started that died before the
 * next look, when it was not the leader.
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
    // No groups: what is left to say is the leader alone.
    signalGroup: (leader, signal) => signal === 'SIGKILL' && kill(leader),
    signalProcess: (pid, signal) => signal === 'SIGKILL' && kill(pid),
    killTree(root) {
      const rows = table.scan();
      if (rows.get(root.pid)?.startTime !== root.startTime) return;
      const tree = descendants(rows, root.pid);
      const one = () => tree.forEach(kill);
      // taskkill compares no start times: it would kill the children of a stranger who had one of these numbers before.
      const mistaken = [...rows.values()].some(({ parent }) => parent < 0 && tree.has(-parent));
      if (mistaken || problemOf(windows) !== undefined) return one();
      try {
        // Its words are translated and its exit code says little (128 also when a child was gone already): whoever is
        // left is seen at the next look, and killed one by one. With a callback its child's error is no exception.
        windows.killTree(root.pid, () => table.forget());
      } catch {
        one();
      }
      forgetSoon(table);
    },
  };
}

/** A folder that cannot be read may hold anything. */
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
