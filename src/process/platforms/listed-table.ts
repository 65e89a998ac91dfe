import { spawnSync } from 'node:child_process';
import type { ProcessRow, ProcessTable } from '../process-table.js';

/** How a tool of the system lists all processes. */
export interface Listing {
  /** Absolute path, because PATH and the working directory may contain a program of another user. */
  readonly tool: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How long a result is kept for further calls, ms. */
  readonly keep: number;
  /** Throws when it does not understand a line: a process that is left out would be taken for dead. */
  parse(output: string): Map<number, ProcessRow>;
}

/** A process table where each new result costs a child process. */
export interface ListedTable extends ProcessTable {
  /** The path of the tool. */
  readonly tool: string;
  /** Drops the kept result, because something has happened since. */
  forget(): void;
}

/** Runs a tool to its end and returns its stdout. */
export type RunTool = (listing: Listing) => string;

/** How long a tool that hangs may block the host, ms. */
const TIMEOUT = 10_000;
/** A process takes about 100 bytes. */
const LONGEST_OUTPUT = 16 * 1_048_576;

/**
 * A table from the output of `listing`. It is synchronous, as on Linux, because the identity must be read in the tick
 * of the spawn, and orphans adopted in the tick of the exit. So each run of the tool blocks the host: about 10 ms for
 * `ps` on Linux, several 100 ms for PowerShell. Therefore a result is kept for `keep` ms, for several trees that end at
 * once. That is safe: a process that was dead remains dead, and one that was alive is read again later. Beyond the turn of
 * the event loop its age counts from the begin of the run: on a busy machine that takes long, and servers start processes
 * meanwhile, which it may not show.
 */
export function listedTable(listing: Listing, run: RunTool = runTool, self = process.pid): ListedTable {
  let kept: { readonly rows: Map<number, ProcessRow>; since: number } | undefined;
  const scan = () => {
    if (kept !== undefined && performance.now() - kept.since < listing.keep) return kept.rows;
    kept = undefined;
    const begun = performance.now();
    const rows = listing.parse(run(listing));
    // A result that was cut off, or belongs to another namespace, proves nothing.
    if (!rows.has(self)) throw new Error(`${listing.tool} does not show the process that asks`);
    const result = { rows, since: performance.now() };
    kept = result;
    setImmediate(() => {
      result.since = begun;
    }).unref();
    return rows;
  };
  return {
    tool: listing.tool,
    scan,
    read: (pid) => scan().get(pid),
    forget: () => {
      kept = undefined;
    },
  };
}

/**
 * Drops the kept result after the current synchronous code, because a result from before a signal proves nothing after
 * it. Not at once, so that in the last tick of the host one result is enough to kill the trees of all servers.
 */
export function forgetSoon(table: ListedTable): void {
  queueMicrotask(table.forget);
}

/** @throws Error when the tool cannot be started, or fails */
export function runTool({ tool, args, env }: Listing): string {
  const { error, status, signal, stdout, stderr } = spawnSync(tool, args, {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: false,
    windowsHide: true,
    timeout: TIMEOUT,
    killSignal: 'SIGKILL',
    maxBuffer: LONGEST_OUTPUT,
  });
  // ENOENT, EMFILE, EAGAIN, ETIMEDOUT, ENOBUFS.
  if (error !== undefined) throw error;
  if (status !== 0) {
    const [said = ''] = stderr.trim().split('\n', 1);
    throw new Error(`${tool} failed (${signal ?? status})${said === '' ? '' : `: ${said.slice(0, 200)}`}`);
  }
  return stdout;
}
