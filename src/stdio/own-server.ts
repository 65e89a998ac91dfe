import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import type { ServerDefinition } from '../config/options.js';
import type { PoolEvents } from '../pool/events.js';
import type { PooledServer } from '../pool/leases/lease.js';
import type { MCPServerPool } from '../pool/mcp-server-pool.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import { forgetExit, watchExit } from './exits.js';

/** Part of each name, since another copy of this package may add servers to the same pool, with the same numbers. */
const COPY = randomBytes(4).toString('hex');
let sequence = 0;

/** Graces of a process that has no work to lose, as in the SDK's client v2; in milliseconds. */
const SHORT_GRACES = { eofGrace: 100, termGrace: 1_000 };

/**
 * One process with a definition of its own, which is removed from the pool when the process has ended. Only public methods
 * of the pool are used: it may belong to another version of this package.
 */
export class OwnServer {
  readonly #pool: MCPServerPool;
  /** Its name in the pool. */
  readonly name: string;
  readonly #definition: ServerDefinition;
  readonly #abort = new AbortController();
  #starting: Promise<PooledServer> | undefined;
  #lease: PooledServer | undefined;

  /**
   * @param onExit called when its process has exited
   * @throws PoolError `INVALID_OPTIONS` when the definition is wrong, `NOT_SUPPORTED`
   */
  constructor(pool: MCPServerPool, definition: ServerDefinition, onExit: (exit: PoolEvents['server:exited']) => void) {
    this.#pool = pool;
    this.name = `${serverName(definition)}:${COPY}-${++sequence}`;
    this.#definition = { ...definition, sharing: 'dedicated', maxInstances: 1, minIdle: 0 };
    pool.addServer(this.name, this.#definition);
    watchExit(pool, this.name, onExit);
  }

  get pid(): number | undefined {
    return this.#lease?.pid;
  }

  /**
   * Starts the process. To be called once.
   * @throws PoolError when it cannot be started, or when `end()` is called before it runs
   */
  async start(): Promise<PooledServer> {
    this.#starting = this.#pool.getServer(this.name, { signal: this.#abort.signal });
    const lease = await this.#starting;
    this.#lease = lease;
    // `end()` was called after the lease was given out, but before this turn.
    if (this.#abort.signal.aborted) lease.release();
    return lease;
  }

  /** Ends the process; a start is cancelled. */
  end(): void {
    this.#abort.abort(new Error('the transport was closed'));
    this.#lease?.release();
  }

  /** Gives the process less time in a following {@link end}. */
  shortenGraces(): void {
    void this.#pool.updateServer(this.name, { ...this.#definition, ...SHORT_GRACES }).catch(() => {});
  }

  /**
   * Waits until the process has ended, for whatever reason, and removes the definition.
   * @returns the report on its tree; undefined when no process ran
   */
  async ended(): Promise<CleanupReport | undefined> {
    const lease = await this.#starting?.catch(() => undefined);
    const report = await lease?.ended;
    try {
      await this.#pool.removeServer(this.name);
    } catch (error) {
      // A start that a shutdown cancelled ends with that shutdown, so wait for it. Any other error: the host has already
      // removed the server.
      if (isClosed(error) && lease === undefined) await this.#pool.shutdown();
    }
    forgetExit(this.#pool, this.name);
    return report;
  }
}

/**
 * The name of a server without its number. Only the first word of the command: a host may have written arguments behind it by
 * mistake, and these may be secret.
 */
export function serverName({ command }: { readonly command: string }): string {
  return `stdio:${basename(String(command)).split(/\s/, 1)[0]}`;
}

/** Not by `instanceof`: the pool may belong to another copy of this package, with a class of its own. */
function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'POOL_CLOSED';
}
