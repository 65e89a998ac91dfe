// A gateway: many users reach stdio MCP servers by Streamable HTTP, through one pool. See README.md beside this file.
//
//   node examples/express-gateway/index.js [--port 8930] [--idle-timeout 300000]      (in a clone: npm run build first)
//
// It listens on this machine only, prints what to try, and runs until Ctrl-C.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { MCPServerPool } from 'mcp-server-pool';
import { collectPool } from 'mcp-server-pool/prometheus';
import { Registry } from 'prom-client';
import { definitionsOf, limits, servers, tenants } from './config.js';
import { createGateway } from './gateway.js';
import { Users } from './users.js';

/** How long calls in flight may take when the gateway is ended, and connections of clients that do not notice, in ms. */
const DRAIN_TIMEOUT = 25_000;
const CLOSE_TIMEOUT = 2_000;
const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8930' },
    'idle-timeout': { type: 'string', default: String(limits.sessionIdleTimeout) },
  },
});

const [port, sessionIdleTimeout] = [values.port, values['idle-timeout']].map(Number);
for (const [name, number] of Object.entries({ port, 'idle-timeout': sessionIdleTimeout })) {
  if (number >= 0) continue;
  console.error(`--${name} takes a number, 0 or more, not '${values[name]}'`);
  process.exit(2);
}

const pool = new MCPServerPool({
  servers: definitionsOf({ servers, tenants }),
  // A lease whose session was silent for a minute is taken back when another session waits for a process.
  defaults: { maxInstances: 8, maxInstancesPerTenant: 4, leaseIdleTimeout: 60_000 },
  limits: { maxProcesses: 12 },
});
pool.on('server:exited', ({ name, unexpected, exitCode, signal }) => {
  if (unexpected) console.error(`${name} has exited: ${signal ?? `code ${exitCode}`}`);
});
const register = new Registry();
collectPool(pool, { register, tenantLabels: Object.keys(tenants).length });

// New tokens with each start: a demo has none to keep. A real gateway reads hashes of tokens, or asks an identity provider.
const [users, operators] = [new Users(), new Users()];
const tokens = [];
for (const [tenant, { users: names }] of Object.entries(tenants)) {
  for (const name of names) tokens.push({ name, tenant, token: addTo(users, { name, tenant }) });
}
const operatorToken = addTo(operators, { name: 'operator' });

const gateway = createGateway({
  pool,
  servers: Object.keys(servers),
  users,
  operators,
  register,
  limits: { ...limits, sessionIdleTimeout },
});
const http = createServer(gateway.app);
http.listen(port, '127.0.0.1');
await once(http, 'listening').catch(async ({ message }) => {
  console.error(`${message}; --port 0 takes any free port`);
  await pool.shutdown();
  process.exit(1);
});
printUsage(`http://127.0.0.1:${http.address().port}`);

let signals = 0;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    signals += 1;
    // The second one does not wait for requests or graces.
    if (signals === 1) void shutDown();
    else void pool.shutdown({ mode: 'emergency' });
  });
}

async function shutDown() {
  console.log('\nshuts down: finishes the requests in flight, refuses new ones (Ctrl-C again: at once)');
  const { servers: ended, survivors } = await gateway.close({ drainTimeout: DRAIN_TIMEOUT });
  // The streams have ended with their sessions.
  setTimeout(() => http.closeAllConnections(), CLOSE_TIMEOUT).unref();
  http.close();
  await once(http, 'close');
  console.log(`${ended.length} process trees ended, ${survivors.length} survivors`);
  process.exit(survivors.length === 0 ? 0 : 1);
}

function addTo(users, user) {
  const token = randomBytes(24).toString('base64url');
  users.add(token, user);
  return token;
}

function printUsage(url) {
  console.log(
    `${Object.keys(servers).length} servers for ${tokens.length} users of ${Object.keys(tenants).length} tenants`,
  );
  for (const server of Object.keys(servers)) console.log(`  ${url}/mcp/${server}`);
  console.log('Tokens of this run:');
  for (const { name, tenant, token } of tokens) console.log(`  ${name} (${tenant}): ${token}`);
  console.log(`  operator: ${operatorToken}`);
  console.log('Try, in another terminal:');
  console.log(`  node examples/express-gateway/client.js ${url} ${tokens[0].token}`);
  console.log(`  curl ${url}/health`);
  console.log(`  curl -H 'Authorization: Bearer ${operatorToken}' ${url}/metrics`);
  console.log('Ctrl-C ends it.');
}
