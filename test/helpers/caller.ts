import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { AcquireOptions, MCPServerPool, PooledServer } from '../../src/index.js';
import { RawClient } from './client.js';
import { isLiving } from './processes.js';
import { until } from './until.js';

/** Time between two calls, ms: a client that waits for nothing else would be a load of its own. */
const PAUSE = 20;

/** A client with a lease that calls its server all the time, until `stop()`. */
export class Caller {
  readonly lease: PooledServer;
  readonly client: RawClient;
  /** The process that the lease began with. */
  readonly pid: number;
  readonly failures: unknown[] = [];
  answers = 0;
  #running = true;
  readonly #done: Promise<void>;

  private constructor(lease: PooledServer, client: RawClient) {
    this.lease = lease;
    this.client = client;
    this.pid = lease.pid as number;
    this.#done = this.#loop();
    onTestFinished(() => this.stop());
  }

  static async of(pool: MCPServerPool, name: string, options?: AcquireOptions): Promise<Caller> {
    const lease = await pool.getServer(name, options);
    return new Caller(lease, await RawClient.connect(lease.transport));
  }

  /** Waits for so many more answers. */
  async more(count: number): Promise<void> {
    const goal = this.answers + count;
    await until(
      `${count} more answers`,
      () => this.answers >= goal || this.failures.length > 0 || this.client.closeCount > 0,
    );
  }

  /** Ends the calls. Those of a lease that has ended are over. */
  stop(): Promise<void> {
    this.#running = false;
    return this.#done;
  }

  async #loop(): Promise<void> {
    for (let call = 0; this.#running && this.client.closeCount === 0; call++) {
      const text = `call ${call}`;
      try {
        const answer = await this.client.callTool('echo', { text });
        if (answer === text) this.answers += 1;
        else this.failures.push(answer);
      } catch (error) {
        this.failures.push(error);
      }
      await pause(PAUSE);
    }
  }
}

/** It was served all the time, by its first process, which lives. */
export async function expectUntouched(neighbour: Caller): Promise<void> {
  await neighbour.more(5);
  expect(neighbour.failures).toEqual([]);
  expect(neighbour.lease.pid).toBe(neighbour.pid);
  expect(isLiving(neighbour.pid)).toBe(true);
}
