import { afterEach, expect, onTestFinished } from 'vitest';
import { MCPServerPool, type PoolEvents } from '../../src/index.js';
import { StdioClientTransport, type StdioServerParameters } from '../../src/stdio.js';
import { fixture, wrapped } from './fixture.js';
import { MARKER } from './processes.js';

/** What stays of the global pool would be found by every later test. */
export function endGlobalPoolAfterEach(): void {
  afterEach(async () => {
    expect((await MCPServerPool.global().shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
}

const env = () => ({ [MARKER]: process.env[MARKER] ?? '' });

/** A server of `test/fixtures/servers` as the SDK's transport takes it. */
export function params(name: string, ...args: string[]): StdioServerParameters {
  const { command, args: all } = fixture(name, ...args);
  return { command, args: all, env: env(), stderr: 'ignore' };
}

/** The same under a shell. */
export function shelled(name: string, ...args: string[]): StdioServerParameters {
  const { command, args: all } = wrapped(name, ...args);
  return { command, args: all, env: env(), stderr: 'ignore' };
}

/** A program that is no MCP server, but starts fast. */
export function program(command: string, ...args: string[]): StdioServerParameters {
  return { command, args, env: env(), stderr: 'ignore' };
}

/** A transport and all that it tells; closed when the test is over. */
export class Watched {
  readonly transport: StdioClientTransport;
  readonly errors: Error[] = [];
  closes = 0;

  constructor(given: StdioServerParameters) {
    this.transport = new StdioClientTransport(given);
    this.transport.onerror = (error) => this.errors.push(error);
    this.transport.onclose = () => {
      this.closes += 1;
    };
    onTestFinished(() => this.transport.close());
  }
}

export function record<K extends keyof PoolEvents>(pool: MCPServerPool, event: K): PoolEvents[K][] {
  const told: PoolEvents[K][] = [];
  pool.on(event, ((payload: PoolEvents[K]) => told.push(payload)) as never);
  return told;
}
