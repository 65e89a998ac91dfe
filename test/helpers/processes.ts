import { readdirSync, readFileSync } from 'node:fs';

/** The variable by which everything that a test worker started can be found; a definition passes it on by `inheritEnv`. */
export const MARKER = 'MCP_POOL_TEST';

/** One process as /proc shows it. Read here anew, so that the code under test does not check itself. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: number;
  readonly zombie: boolean;
  readonly command: string;
}

export function readProcess(pid: number): ProcessInfo | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const close = line.lastIndexOf(')');
    const fields = line.slice(close + 2).split(' ');
    return {
      pid,
      parent: Number(fields[1]),
      group: Number(fields[2]),
      session: Number(fields[3]),
      startTime: Number(fields[19]),
      zombie: fields[0] === 'Z' || fields[0] === 'X',
      command: line.slice(line.indexOf('(') + 1, close),
    };
  } catch {
    return undefined;
  }
}

/** Whether a process of this pid runs; a zombie does not. */
export function isLiving(pid: number): boolean {
  const found = readProcess(pid);
  return found !== undefined && !found.zombie;
}

/** All processes that run. */
export function livingProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => readProcess(Number(entry)))
    .filter((found) => found !== undefined && !found.zombie)
    .map((found) => found as ProcessInfo);
}

/** The living children of a process, their children, and so on. Without the guardian, which is none of a test's servers. */
export function descendants(ancestor = process.pid): ProcessInfo[] {
  return everyDescendant(ancestor).filter(({ pid }) => !isGuardian(pid));
}

/** Whether a process is one that ends the servers of a host when that is dead; it may be about to exit, and show nothing. */
export function isGuardian(pid: number): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    return line === '' || line.split('\0').includes('mcp-server-pool-guardian');
  } catch {
    return true;
  }
}

/** All of them. */
export function everyDescendant(ancestor = process.pid): ProcessInfo[] {
  const all = livingProcesses();
  const found = new Set<number>([ancestor]);
  const result: ProcessInfo[] = [];
  for (let grown = true; grown; ) {
    grown = false;
    for (const row of all) {
      if (found.has(row.pid) || !found.has(row.parent)) continue;
      found.add(row.pid);
      result.push(row);
      grown = true;
    }
  }
  return result;
}

/** The living processes whose environment holds the marker of this worker, wherever they hang in the tree. */
export function marked(marker = process.env[MARKER]): ProcessInfo[] {
  if (marker === undefined || marker === '') return [];
  return livingProcesses().filter(({ pid }) => pid !== process.pid && hasMarker(pid, marker));
}

function hasMarker(pid: number, marker: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${MARKER}=${marker}`);
  } catch {
    return false;
  }
}

/** Kills a process that this test found as its own, unless its pid is somebody else's by now. */
export function killProcess({ pid, startTime }: ProcessInfo): void {
  if (readProcess(pid)?.startTime !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Dead meanwhile.
  }
}
