import { afterEach, expect, onTestFinished } from 'vitest';
import { MCPServerPool } from '../../src/index.js';
import { StdioClientTransport, type StdioServerParameters } from '../../src/stdio.js';
import { fixture, wrapped } from './fixture.js';
import { MARKER } from './processes.js';

/** Shuts the global pool down after each test of the file, so that the next test gets a new one. */
export function endGlobalPoolAfterEach(): void {
  afterEach(async () => {
    expect((await MCPServerPool.global().shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
}

const env = () => ({ [MARKER]: process.env[MARKER] ?? '' });

/** The parameters of a transport for a server of `test/fixtures/servers`. */
export function params(name: string, ...args: string[]): StdioServerParameters {
  const { command, args: all } = fixture(name, ...args);
  return { command, args: all, env: env(), stderr: 'ignore' };
}

/** The same below a shell. */
export function shelled(name: string, ...args: string[]): StdioServerParameters {
  const { command, args: all } = wrapped(name, ...args);
  return { command, args: all, env: env(), stderr: 'ignore' };
}

/** A program that is not an MCP server, but starts fast. */
export function program(command: string, ...args: string[]): StdioServerParameters {
  return { command, args, env: env(), stderr: 'ignore' };
}

/** A transport with counts of its handler calls; closed when the test is over. */
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
