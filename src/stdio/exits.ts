import type { PoolEvents } from '../pool/events.js';
import type { MCPServerPool } from '../pool/mcp-server-pool.js';

/** How the process of a `StdioClientTransport` ended. */
export interface StdioServerExit {
  /** A transport that was started again may still report the exit of the process before. */
  readonly pid: number | undefined;
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** Null when it exited by itself. */
  readonly signal: string | null;
  /** The end of what it wrote to stderr, at most 64 KB, secrets of the definition hidden, whatever `stderr` says. */
  readonly stderrTail: string;
}

type Exited = PoolEvents['server:exited'];
type OnExit = (exit: Exited) => void;

/** For each pool: one listener for all servers of drop-ins, so that an exit costs the same however many there are. */
const watches = new WeakMap<MCPServerPool, Watch>();

interface Watch {
  readonly byName: Map<string, OnExit>;
  readonly listener: OnExit;
}

/** Calls `onExit` when the process of a server has exited, until {@link forgetExit}. */
export function watchExit(pool: MCPServerPool, name: string, onExit: OnExit): void {
  let watch = watches.get(pool);
  if (watch === undefined) {
    const byName = new Map<string, OnExit>();
    watch = { byName, listener: (exit) => byName.get(exit.name)?.(exit) };
    watches.set(pool, watch);
    pool.on?.('server:exited', watch.listener);
  }
  watch.byName.set(name, onExit);
}

export function forgetExit(pool: MCPServerPool, name: string): void {
  const watch = watches.get(pool);
  if (!watch?.byName.delete(name) || watch.byName.size > 0) return;
  pool.off?.('server:exited', watch.listener);
  watches.delete(pool);
}
