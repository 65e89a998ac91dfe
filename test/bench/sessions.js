// Many sessions at once on a few shared servers, for a minute: whether a queue grows, a request fails, and how long they take.
import { setTimeout as sleep } from 'node:timers/promises';
import { MCPServerPool } from '../../dist/index.js';
import { amountRow, benchmark } from './harness.js';
import { echoServer, RawClient } from './transports.js';

const SESSIONS = 250;
const NAMES = ['one', 'two', 'three'];
const DURATION = 60_000;
/** Between two requests of a session, ms. */
const PAUSE = 100;

await benchmark(`sessions: ${SESSIONS} at once on ${NAMES.length} shared servers`, async (report) => {
  const shared = { ...echoServer, sharing: 'shared', maxInstances: 1 };
  const pool = new MCPServerPool({ servers: Object.fromEntries(NAMES.map((name) => [name, shared])) });
  await Promise.all(NAMES.map((name) => pool.warm(name)));
  let waiting = 0;
  pool.on('queue:waiting', () => {
    waiting += 1;
  });
  const sessions = Array.from({ length: SESSIONS }, async (_, index) => {
    const server = await pool.getServer(NAMES[index % NAMES.length]);
    const client = new RawClient(server.transport);
    await client.open();
    return { server, client };
  });
  const end = performance.now() + DURATION;
  await Promise.all(
    (await Promise.all(sessions)).map(async ({ server, client }, index) => {
      // They do not all ask in the same turn of the event loop.
      await sleep((index * PAUSE) / SESSIONS);
      while (performance.now() < end) {
        // One that fails ends the run.
        await client.request('echo', { text: 'a small request' });
        await sleep(PAUSE);
      }
      server.release();
    }),
  );
  const { requestTime, failurePercent, queueGrowth, concurrentSessions, acquireTime } = pool.serviceLevels().pool;
  if (concurrentSessions.actual !== SESSIONS) throw new Error(`${concurrentSessions.actual} sessions at once`);
  const peer = `${requestTime.samples} requests in ${DURATION / 1_000} s`;
  const row = (what, unit, amount, target) => report(amountRow({ what, peer, unit, amounts: [amount], target }));
  row(`${SESSIONS} sessions on ${NAMES.length} shared servers: p95 of a request`, 'ms', requestTime.p95, 50);
  row('the same: p99', 'ms', requestTime.p99, 100);
  row('the same: requests that failed', '%', failurePercent.actual, 0);
  row('the same: callers that waited', 'callers', waiting, 0);
  row('the same: times that the queue began to grow', 'times', queueGrowth.actual, 0);
  row('the same: p95 of getServer()', 'ms', acquireTime.p95, 500);
  await pool.shutdown();
});
