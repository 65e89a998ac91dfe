// One process, many sessions: what the next one costs, against a process of its own, and what many at once get through.
import { EventEmitter } from 'node:events';
import { MCPServerPool } from '../../dist/index.js';
import { bareStart, beginSession, benchmark, everythingServer, median, ratioRow, takeTurns, timed } from './harness.js';
import { echoServer, openBoth } from './transports.js';

/** Sessions in one round, one after the other, of which the median counts: each takes no longer than a time slice. */
const SESSIONS = 20;
const COUNT = 20_000;
/** Requests under way at any time, of all sessions together. */
const WINDOW = 1_000;
const MANY = 100;

/** Found in node_modules; nothing is ever downloaded. */
const npxServer = { command: 'npx', args: ['--no-install', '@modelcontextprotocol/server-everything'] };

// As in requests.js.
EventEmitter.defaultMaxListeners = 0;

await benchmark('sharing: the next session, and pipelined requests of many', async (report) => {
  const shared = { sharing: 'shared', maxInstances: 1 };
  const pool = new MCPServerPool({
    servers: { everything: { ...everythingServer, ...shared }, echo: { ...echoServer, ...shared } },
  });
  await compareSessions(pool, report);
  await compareRequests(pool, report);
  await pool.shutdown();
});

async function compareSessions(pool, report) {
  const first = await pool.getServer('everything');
  await beginSession(first.transport);
  const times = await takeTurns(
    {
      ours: async () => {
        const each = [];
        while (each.length < SESSIONS) each.push(await nextSession(pool));
        return median(each);
      },
      direct: () => bareStart(everythingServer),
      npx: () => bareStart(npxServer),
    },
    { rounds: 21, warmUp: 2, seconds: 22 },
  );
  first.release();
  const what = 'next session on a shared server, to its tools/list';
  report(ratioRow({ what, peer: 'its own process', ours: times.ours, theirs: times.direct, target: 200 }));
  report(ratioRow({ what, peer: 'its own npx', ours: times.ours, theirs: times.npx, target: 600 }));
}

async function nextSession(pool) {
  let server;
  const time = await timed(async () => {
    server = await pool.getServer('everything');
    await beginSession(server.transport);
  });
  server.release();
  return time;
}

async function compareRequests(pool, report) {
  const { sdk, close } = await openBoth();
  const servers = await Promise.all(Array.from({ length: MANY }, () => pool.getServer('echo')));
  // The same client as on the other side, and as in requests.js.
  const sessions = servers.map((server) => new sdk.constructor(server.transport));
  for (const session of sessions) await session.open();
  const exchange = (clients) =>
    timed(() => Promise.all(clients.map((client) => client.requests(COUNT / clients.length, WINDOW / clients.length))));
  const times = await takeTurns(
    { one: () => exchange(sessions.slice(0, 1)), many: () => exchange(sessions), sdk: () => exchange([sdk]) },
    { rounds: 41, warmUp: 5, seconds: 15 },
  );
  const peer = 'StdioClientTransport';
  report(ratioRow({ what: 'pipelined, 1 session', peer, ours: times.one, theirs: times.sdk, target: 1.5 }));
  report(ratioRow({ what: `pipelined, ${MANY} sessions`, peer, ours: times.many, theirs: times.sdk, target: 1.5 }));
  for (const server of servers) server.release();
  await close();
}
