import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { MCPServerPool, PooledServer, ServerDefinition } from '../../src/index.js';
import { RawClient } from './client.js';
import { descendants, isLiving, MARKER } from './processes.js';
import { until } from './until.js';

export const SESSIONS = 100;

const { resolve } = createRequire(import.meta.url);
export const everything: ServerDefinition = {
  command: process.execPath,
  args: [resolve('@modelcontextprotocol/server-everything/dist/index.js')],
  inheritEnv: [MARKER],
  sharing: 'shared',
};

/** A path in a folder that is removed after the test. */
export function temporaryPath(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-failover-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, name);
}

export function kill(pid: number | undefined): void {
  // Never 0, which would mean the process group of the test itself.
  if (pid !== undefined && pid > 1 && isLiving(pid)) process.kill(pid, 'SIGKILL');
}

/** Counts the processes of this test every 10 ms, and keeps the highest number. */
export function watchProcesses(): { readonly most: number } {
  const seen = { most: 0 };
  const timer = setInterval(() => {
    seen.most = Math.max(seen.most, descendants().length);
  }, 10);
  onTestFinished(() => clearInterval(timer));
  return seen;
}

export interface Session {
  readonly lease: PooledServer;
  readonly client: RawClient;
}

export async function connect(pool: MCPServerPool, name?: string): Promise<Session> {
  const lease = await pool.getServer(name);
  return { lease, client: await RawClient.connect(lease.transport) };
}

export function connectAll(pool: MCPServerPool, count: number): Promise<Session[]> {
  return Promise.all(Array.from({ length: count }, () => connect(pool, 'everything')));
}

interface Failure {
  readonly method: string;
  readonly code: number;
  readonly data: { readonly retryable: boolean };
}

/** The requests of a session, in turn: the request, and a string that only the right answer contains. */
const CALLS: readonly ((mine: number) => [method: string, params: object, expected: string])[] = [
  () => ['tools/list', {}, 'trigger-long-running-operation'],
  (mine) => ['tools/call', { name: 'echo', arguments: { message: `of ${mine}` } }, `"Echo: of ${mine}"`],
  (mine) => ['resources/read', { uri: `demo://resource/dynamic/text/${mine}` }, `"Resource ${mine}: `],
  (mine) => ['prompts/get', { name: 'args-prompt', arguments: { city: `No ${mine}` } }, `in No ${mine}?`],
  (mine) => ['tools/call', { name: 'get-sum', arguments: { a: mine, b: 1 } }, `is ${mine + 1}.`],
  () => ['resources/list', {}, 'demo://resource/static/document/'],
  () => ['prompts/list', {}, 'simple-prompt'],
  () => ['resources/templates/list', {}, 'Dynamic Text Resource'],
];

/** Sessions that send one request after the other, until `stop()`, or for at most 20 s. */
export class Load {
  readonly failures: Failure[] = [];
  readonly wrong: string[] = [];
  readonly #done: number[];
  readonly #end = performance.now() + 20_000;
  #running = true;
  #active: number;

  constructor(sessions: readonly Session[]) {
    this.#done = sessions.map(() => 0);
    this.#active = sessions.length;
    for (const [index, { client }] of sessions.entries()) void this.#loop(index, client);
    onTestFinished(() => {
      this.#running = false;
    });
  }

  get calls(): number {
    return this.#done.reduce((sum, done) => sum + done, 0);
  }

  /** Waits until each session has `count` more answers: then no earlier call is in flight. */
  async rounds(count: number): Promise<void> {
    const goals = this.#done.map((done) => done + count);
    await until(`${count} more answers for each`, () => this.#done.every((done, index) => done >= (goals[index] ?? 0)));
  }

  /** Waits until all sessions together have this number of further answers: an arbitrary moment. */
  async more(calls: number): Promise<void> {
    const goal = this.calls + calls;
    await until(`${calls} more answers`, () => this.calls >= goal);
  }

  /** Stops the load; fails if a call hangs. */
  async stop(): Promise<void> {
    this.#running = false;
    await until('no call hangs', () => this.#active === 0);
    expect(this.wrong).toEqual([]);
  }

  async #loop(index: number, client: RawClient): Promise<void> {
    for (let turn = index; this.#running && performance.now() < this.#end; turn++) {
      const [method, params, expected] = (CALLS[turn % CALLS.length] as (typeof CALLS)[0])(index + 1);
      try {
        const answer = JSON.stringify(await client.request(method, params));
        if (!answer.includes(expected)) this.wrong.push(`${method}: ${answer}`);
      } catch (error) {
        this.failures.push({ ...(error as Failure), method });
      }
      this.#done[index] = (this.#done[index] ?? 0) + 1;
    }
    this.#active -= 1;
  }
}

/** The error of a tool call that was in flight when its server was killed. */
export const LOST = {
  method: 'tools/call',
  code: -32_000,
  data: {
    reason: 'SERVER_EXITED',
    retryable: true,
    exitCode: null,
    signal: 'SIGKILL',
    mayHaveRun: expect.any(Boolean),
  },
};

export function expectUndisturbed(sessions: readonly Session[]): void {
  for (const { client } of sessions) {
    expect([client.closeCount, client.errors, client.strays]).toEqual([0, [], []]);
  }
}
