import { expect, onTestFinished } from 'vitest';
import type { ConnectedClient } from '../../examples/metamcp/connect.js';
import type { ServerParameters } from '../../examples/metamcp/definition.js';
import type { McpServerPool } from '../../examples/metamcp/mcp-server-pool.js';
import type { McpServerPoolOptions } from '../../examples/metamcp/options.js';
import type { MCPServerPool, PoolEvents } from '../../src/index.js';
import { exampleModule, exampleProgram } from './example.js';
import { fixture } from './fixture.js';
import { MARKER } from './processes.js';

const GRACES = { eofGrace: 100, termGrace: 100 };

/**
 * The adapter of `examples/metamcp` with the SDK that MetaMCP has, 1.16.0, cleaned up when the test is over.
 * @returns the adapter; the pool that it has made last; all that it has logged; what has been spawned so far
 */
export function openAdapter(options: Partial<McpServerPoolOptions> = {}) {
  const program = exampleProgram('metamcp/index.js', { '@modelcontextprotocol/sdk': 'mcp-sdk-1.16' });
  const { McpServerPool: Adapter } = exampleModule<{ McpServerPool: typeof McpServerPool }>(
    program,
    './mcp-server-pool.js',
  );
  const { MCPServerPool: Pool } = exampleModule<{ MCPServerPool: typeof MCPServerPool }>(program, 'mcp-server-pool');
  const pools: MCPServerPool[] = [];
  const starts: PoolEvents['server:starting'][] = [];
  const logged: string[] = [];
  const note = (text: string) => void logged.push(text);
  const { policyOf, ...others } = options;
  const adapter = new Adapter({
    policyOf: (params) => ({ ...GRACES, ...policyOf?.(params) }),
    makePool: (poolOptions) => {
      const pool = new Pool(poolOptions);
      pool.on('server:starting', (event) => void starts.push(event));
      pools.push(pool);
      return pool;
    },
    log: { info: note, warn: note, error: note },
    ...others,
  });
  onTestFinished(async () => {
    await adapter.cleanupAll();
    for (const pool of pools) expect((await pool.shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
  return { adapter, logged, starts, pool: () => pools.at(-1) as MCPServerPool };
}

/** A row of MetaMCP's table for a server of `test/fixtures/servers`. */
export function serverParams(uuid: string, name: string, ...args: string[]): ServerParameters {
  const { command, args: all } = fixture(name, ...args);
  return {
    uuid,
    name: `server ${uuid}`,
    type: 'STDIO',
    command,
    args: all,
    env: { [MARKER]: process.env[MARKER] ?? '' },
  };
}

/** The pid of the server of a connection, as the server says it. */
export async function pidOf(connection: ConnectedClient | undefined): Promise<number> {
  if (connection === undefined) throw new Error('there is no connection');
  const { content } = await connection.client.callTool({ name: 'pid', arguments: {} });
  return Number((content as { text: string }[])[0]?.text);
}
