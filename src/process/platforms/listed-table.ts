import { spawnSync } from 'node:child_process';
import type { ProcessRow, ProcessTable } from '../process-table.js';

/** How one of the system's own tools is asked for all processes at once. */
export interface Listing {
  /** Absolute path: what lies on PATH, or in the working directory, may be anybody's. */
  readonly tool: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** How long one answer may serve all who ask, ms. */
  readonly keep: number;
  /** Throws when a line of the answer is not understood: a process left out would be taken for dead. */
  parse(output: string): Map<number, ProcessRow>;
}

/** A process table where every look costs a child process. */
export interface ListedTable extends ProcessTable {
  /** Who is asked. */
  readonly tool: string;
  /** The answer that is kept must not serve whoever asks from now on: something has happened since. */
  forget(): void;
}

/** Runs a tool to its end and returns what it wrote. */
export type RunTool = (listing: Listing) => string;

/** A tool that hangs blocks the host for no longer. */
const TIMEOUT = 10_000;
/** About 100 bytes a process. */
const LONGEST_OUTPUT = 16 * 1_048_576;

/**
 * A table of what `listing` says. It stays synchronous, as on Linux, because identity must be read in the tick of the
 * spawn, and orphans adopted in the tick of the exit. So a look blocks the host for as long as the tool runs: about 10 ms
 * for `ps` on Linux, several 100 ms for PowerShell. Therefore one answer serves all who ask within `keep` ms (several trees
 * that end at once), which errs on one side only: who was seen dead stays dead, who was seen alive is looked at again.
 */
export function listedTable(listing: Listing, run: RunTool = runTool, self = process.pid): ListedTable {
  let kept: { readonly rows: Map<number, ProcessRow>; readonly at: number } | undefined;
  const scan = () => {
    if (kept !== undefined && performance.now() - kept.at < listing.keep) return kept.rows;
    kept = undefined;
    const rows = listing.parse(run(listing));
    // An answer that was cut off, or of another namespace, proves nothing.
    if (!rows.has(self)) throw new Error(`${listing.tool} does not show the process that asks`);
    kept = { rows, at: performance.now() };
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
 * Forgets what `table` keeps as soon as the code that runs now is done: what was seen before a signal proves nothing after
 * it. Not at once, so that in the last tick of the host one look is enough to kill the trees of all its servers.
 */
export function forgetSoon(table: ListedTable): void {
  queueMicrotask(table.forget);
}

/** @throws Error when it cannot be run, or fails */
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
  // ENOENT, EMFILE, EAGAIN, ETIMEDOUT, ENOBUFS. Thrown in this tick; nothing is emitted later.
  if (error !== undefined) throw error;
  if (status !== 0) {
    const [said = ''] = stderr.trim().split('\n', 1);
    throw new Error(`${tool} failed (${signal ?? status})${said === '' ? '' : `: ${said.slice(0, 200)}`}`);
  }
  return stdout;
}
