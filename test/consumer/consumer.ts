// A TypeScript host; compiled, never run. run.js type-checks it against the packed declarations, `npm run types`
// against the source.
import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client as Client116 } from 'mcp-sdk-1.16/client/index.js';
import { MCPServerPool, PoolError } from 'mcp-server-pool';

const pool = new MCPServerPool({
  servers: {
    memory: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-memory'] },
    files: { command: 'node', args: ['files.js', '/data'], maxInstances: 3, idleTimeout: 300_000 },
  },
  limits: { maxProcesses: 15, maxProcessesPerServer: 3 },
});
pool.on('server:exited', ({ name, pid, exitCode, signal, unexpected, stderrTail }) => {
  console.error(`${name} (${pid}) ended: ${exitCode ?? signal}${unexpected ? `, unasked:\n${stderrTail}` : ''}`);
});
pool.on('lease:acquired', (event) => console.error(event));

const { signal } = new AbortController();
const server = await pool.getServer('files', { tenant: 'alice', owner: 'session-1', timeout: 30_000, signal });
const identity: [id: string, name: string, instanceId: string] = [server.id, server.name, server.instanceId];
console.error(identity, server.pid, server.tenant, server.owner);

// One transport for all generations of the SDK.
const info = { name: 'consumer', version: '1.0.0' };
await new Client116(info).connect(server.transport);
await new ClientV1(info).connect(server.transport);
await new ClientV2(info).connect(server.transport);

const released: boolean = server.release();
const again: boolean = pool.releaseServer(server.id);
await server.ended;
console.error(released, again);

try {
  await using memory = await pool.getServer('memory');
  await new ClientV1(info).connect(memory.transport);
} catch (error) {
  if (!(error instanceof PoolError)) throw error;
  const code: string = error.code;
  console.error(code, error.message);
}

const report = await pool.shutdown();
if (report.survivors.length > 0) throw new Error('something is left');
