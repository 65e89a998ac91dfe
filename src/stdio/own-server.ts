import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import type { ServerDefinition } from '../config/options.js';
import type { PooledServer } from '../pool/leases/lease.js';
import type { MCPServerPool } from '../pool/mcp-server-pool.js';
import type { CleanupReport } from '../process/cleanup-queue.js';

/** Another copy of this package may count as well, in the same pool. */
const COPY = randomBytes(4).toString('hex');
let sequence = 0;

/** As the SDK's client ends the process on which it tried out what the server speaks: it is of no more use, ms. */
const PROBE_GRACES = { eofGrace: 100, termGrace: 1_000 };

/**
 * One process under a definition of its own, which goes with it: nothing stays in the pool. Uses nothing but the public
 * surface of the pool, which may belong to another version of this package.
 */
export class OwnServer {
  readonly #pool: MCPServerPool;
  readonly #name: string;
  readonly #definition: ServerDefinition;
  readonly #abort = new AbortController();
  #starting: Promise<PooledServer> | undefined;
  #lease: PooledServer | undefined;

  /** @throws PoolError when the definition is wrong */
  constructor(pool: MCPServerPool, definition: ServerDefinition) {
    this.#pool = pool;
    this.#name = `stdio:${basename(String(definition.command))}:${COPY}-${++sequence}`;
    this.#definition = { ...definition, sharing: 'dedicated', maxInstances: 1, minIdle: 0 };
    pool.addServer(this.#name, this.#definition);
  }

  get pid(): number | undefined {
    return this.#lease?.pid;
  }

  /**
   * Starts the process. To be called once.
   * @throws PoolError why it could not be started, or that `end()` was called before it ran
   */
  async start(): Promise<PooledServer> {
    this.#starting = this.#pool.getServer(this.#name, { signal: this.#abort.signal });
    const lease = await this.#starting;
    this.#lease = lease;
    // Ended between the start and this turn.
    if (this.#abort.signal.aborted) lease.release();
    return lease;
  }

  /** Ends the process, or its start. */
  end(): void {
    this.#abort.abort(new Error('the transport was closed'));
    this.#lease?.release();
  }

  /** Has {@link end} give it less time. */
  hurry(): void {
    void this.#pool.updateServer(this.#name, { ...this.#definition, ...PROBE_GRACES }).catch(() => {});
  }

  /**
   * Waits until it has ended, whoever ended it, and takes its definition away.
   * @returns what came of its tree; undefined when nothing ran
   */
  async gone(): Promise<CleanupReport | undefined> {
    const lease = await this.#starting?.catch(() => undefined);
    const report = await lease?.ended;
    try {
      await this.#pool.removeServer(this.#name);
    } catch (error) {
      // A start that was given up when the pool was shut down ends with that. (The host may also have removed the server.)
      if (isClosed(error) && lease === undefined) await this.#pool.shutdown();
    }
    return report;
  }
}

/** By its code: the pool of another copy has an error class of its own. */
function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'POOL_CLOSED';
}
