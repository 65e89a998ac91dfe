import { readdirSync, readFileSync } from 'node:fs';

/** The variable by which the processes of a test worker are found; a definition passes it on by `inheritEnv`. */
export const MARKER = 'MCP_POOL_TEST';

/** One process as /proc shows it. Read without the code under test, so that this does not check itself. */
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

/** Whether a process with this pid runs; a zombie does not. */
export function isLiving(pid: number): boolean {
  const found = readProcess(pid);
  return found !== undefined && !found.zombie;
}

/** All pids, the newest first: a process that forks and exits at once is gone when it is looked at last. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .sort((a, b) => b - a);
}

/** The processes that run and for which `holds` is true, by pid. It is asked as soon as possible: see {@link allPids}. */
export function livingProcesses(holds: (pid: number) => boolean = () => true): ProcessInfo[] {
  const found: ProcessInfo[] = [];
  for (const pid of allPids()) {
    const row = holds(pid) ? readProcess(pid) : undefined;
    if (row && !row.zombie) found.push(row);
  }
  return found.reverse();
}

/** The living descendants of a process, without the guardian, which is not a server of the test. */
export function descendants(ancestor = process.pid): ProcessInfo[] {
  return everyDescendant(ancestor).filter(({ pid }) => !isGuardian(pid));
}

/** Whether a process is a guardian. One with an empty command line is about to exit, and counts as such. */
export function isGuardian(pid: number): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    return line === '' || line.split('\0').includes('mcp-server-pool-guardian');
  } catch {
    return true;
  }
}

/** All living descendants of a process. */
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

/** The living processes with the marker of this worker in their environment, wherever they are in the process tree. */
export function marked(marker = process.env[MARKER]): ProcessInfo[] {
  if (marker === undefined || marker === '') return [];
  return livingProcesses((pid) => pid !== process.pid && hasMarker(pid, marker));
}

function hasMarker(pid: number, marker: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${MARKER}=${marker}`);
  } catch {
    return false;
  }
}

/** Kills a process that was found to be the test's own, unless its pid was reused meanwhile. */
export function killProcess({ pid, startTime }: ProcessInfo): void {
  if (readProcess(pid)?.startTime !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has died meanwhile.
  }
}
