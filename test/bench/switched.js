// What a part of the library costs a host: the same work on two pools in one process, one with that part and one without.
import { MCPServerPool } from '../../dist/index.js';
import { intervalRow, takeTurns, timed } from './harness.js';
import { echoServer, openOurs } from './transports.js';

/** The shorter and noisier the work, the more pairs. */
const pairs = (rounds) => ({ rounds, warmUp: 5, seconds: 80 });
const OPERATIONS = 300_000;
const REQUESTS = 20_000;
const WINDOW = 1_000;
const MESSAGES = 100_000;
const TARGET = 1.05;

/**
 * @param on options of the pool with the part, `off` of the one without; `peer` names that in the table
 * @param interval of the part, ms; each time that its pool has worked for so long, `once(pool)` is done and counted as well
 * @param works which of 'acquire', 'requests', 'messages' are compared
 */
export async function switched(report, { on, off, peer, interval, once, works }) {
  if (works.includes('acquire')) {
    const [ours, theirs] = [poolWith(on), poolWith(off)];
    for (const pool of [ours, theirs]) (await pool.getServer('echo')).release();
    await compare('getServer + release', acquire(ours), acquire(theirs), ours, 61);
    await Promise.all([ours.shutdown(), theirs.shutdown()]);
  }
  const [ours, theirs] = [await openOurs(on), await openOurs(off)];
  const { pool } = ours;
  if (works.includes('requests'))
    await compare('pipelined requests', exchange(ours.client), exchange(theirs.client), pool, 401);
  if (works.includes('messages'))
    await compare('small messages received', receive(ours.client), receive(theirs.client), pool, 401);
  await Promise.all([ours.close(), theirs.close()]);

  async function compare(what, work, other, working, rounds) {
    let worked = 0;
    const part = () =>
      timed(async () => {
        const isDue = worked >= interval;
        if (isDue) worked -= interval;
        const done = isDue && once(working);
        await work();
        await done;
      });
    const sides = {
      ours: async () => {
        const time = await part();
        worked += time;
        return time;
      },
      theirs: () => timed(other),
    };
    report(intervalRow({ what, peer, ...(await takeTurns(sides, pairs(rounds))), target: TARGET }));
  }
}

function poolWith(options) {
  return new MCPServerPool({ ...options, servers: { echo: { ...echoServer, maxInstances: 1 } } });
}

function acquire(pool) {
  return async () => {
    for (let left = OPERATIONS; left > 0; left--) (await pool.getServer('echo')).release();
  };
}

function exchange(client) {
  return () => client.requests(REQUESTS, WINDOW);
}

function receive(client) {
  return async () => {
    client.received = 0;
    await client.request('burst', { count: MESSAGES });
    if (client.received !== MESSAGES) throw new Error(`${client.received} of ${MESSAGES} messages came`);
  };
}
