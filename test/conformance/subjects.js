// What the suite is run against: an HTTP server for each run, in front of the same stdio server.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { MCPServerPool } from 'mcp-server-pool';
import { Registry } from 'prom-client';
import { createGateway } from '../../examples/express-gateway/gateway.js';
import { Users } from '../../examples/express-gateway/users.js';
import { bareBridge } from './bare-bridge.js';

const SERVER = 'conformance';
const TENANT = 'suite';
const command = process.execPath;
const args = [fileURLToPath(new URL('./server.js', import.meta.url))];

/** What the pool declares when it initializes an exclusive server: the capabilities of the suite's client. */
const clientCapabilities = { sampling: {}, elicitation: {} };
const definitions = {
  exclusive: { command, args, sharing: 'exclusive', clientCapabilities },
  dedicated: { command, args, sharing: 'dedicated' },
  // A shared server cannot ask one of its clients: so it is not told that it could.
  shared: { command, args, sharing: 'shared', maxInstances: 1 },
};

/** The suite ends no session: each user loses the one that it left first. */
const limits = {
  sessionsPerUser: 3,
  requestsPerUser: 16,
  sessionIdleTimeout: 60_000,
  bodyMB: 4,
  unreadMessages: 16,
  unreadMB: 8,
  storedEvents: 1_000,
  storedMB: 4,
};

/**
 * Starts `baseline` (no pool) or a sharing mode behind the gateway of the example. Returns the URL for each of `runs` runs,
 * and `close()`, which resolves with what the pool has started and left.
 */
export async function startSubject(name, runs) {
  if (name === 'baseline') {
    const { app, close } = bareBridge(command, args);
    return listen([app], '/mcp', close);
  }
  const pool = new MCPServerPool({
    servers: { [SERVER]: { maxInstances: Infinity, ...definitions[name] } },
    limits: { maxProcesses: runs * limits.sessionsPerUser },
  });
  const tokens = Array.from({ length: runs }, (_, index) => `token-of-run-${index}`);
  const users = new Users();
  for (const token of tokens) users.add(token, { name: token, tenant: TENANT });
  const { app, close } = createGateway({
    pool,
    servers: [SERVER],
    users,
    operators: new Users(),
    register: new Registry(),
    limits,
  });
  let started = 0;
  pool.on('server:starting', () => {
    started += 1;
  });
  // The suite has no token: each run gets a door of its own, which adds that of its user.
  const doors = tokens.map((token) => (request, response) => {
    request.headers.authorization = `Bearer ${token}`;
    app(request, response);
  });
  return listen(doors, `/mcp/${SERVER}`, async () => {
    const { survivors } = await close();
    return { started, survivors: survivors.length };
  });
}

async function listen(doors, path, close) {
  const servers = doors.map((door) => createServer(door).listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  return {
    urls: servers.map((server) => `http://127.0.0.1:${server.address().port}${path}`),
    async close() {
      const report = await close();
      for (const server of servers) server.close().closeAllConnections();
      return report;
    },
  };
}
