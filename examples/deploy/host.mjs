// A host for a container, a pod or a unit: a pool, and two addresses for probes. Put your own in its place.
//
//   npm install mcp-server-pool @modelcontextprotocol/server-everything      once
//   MCP_POOL_MAX_PROCESSES=15 MCP_POOL_MEMORY_LIMIT_MB=3072 node host.mjs
//   node examples/deploy/host.mjs      as it is (../README.md)
//
// ADDRESS (127.0.0.1) and PORT (9464) say where probes are answered. What it answers names servers: keep it inside.
import { createServer } from 'node:http';
import { MCPServerPool } from 'mcp-server-pool';
import { poolOptions } from './options.mjs';

/** EX_CONFIG of sysexits.h: whoever restarts a host need not try again. */
const WRONG_CONFIGURATION = 78;
const PROBES = { '/livez': 'liveness', '/readyz': 'readiness' };

const pool = start();
pool.on('listener:error', ({ event, error }) => console.error(event, error));
pool.on('server:exited', ({ name, unexpected, exitCode, signal }) => {
  if (unexpected) console.error(`${name} exited: ${signal ?? exitCode}`);
});
pool.on('pool:closed', ({ servers, survivors, duration }) => {
  console.log(`ended ${servers.length} trees in ${duration} ms, ${survivors.length} survivors`);
});

const server = createServer(({ url }, response) => {
  if (!Object.hasOwn(PROBES, url)) return response.writeHead(404).end();
  const verdict = pool.health.verdict({ probe: PROBES[url] });
  response.writeHead(verdict.status === 'down' ? 503 : 200).end(JSON.stringify(verdict));
});
server.listen(Number(process.env.PORT ?? 9464), process.env.ADDRESS ?? '127.0.0.1', () => {
  console.log(`probes are answered at port ${server.address().port}`);
});

function start() {
  try {
    const { enabled, options } = poolOptions();
    if (enabled) return new MCPServerPool(options);
    console.error('MCP_POOL_LIFECYCLE_ENABLED is false: this host does nothing without its pool');
  } catch (error) {
    console.error(error.message);
  }
  return process.exit(WRONG_CONFIGURATION);
}
