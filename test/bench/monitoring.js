// What monitoring costs a host: the same work on two pools in one process, one that is monitored and one that is not.
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, intervalRow, takeTurns, timed } from './harness.js';
import { echoServer, openOurs } from './transports.js';

/** The shorter and noisier the work, the more pairs. */
const pairs = (rounds) => ({ rounds, warmUp: 5, seconds: 60 });
/** The default. */
const INTERVAL = 5_000;
const OPERATIONS = 300_000;
const REQUESTS = 20_000;
const WINDOW = 1_000;
const MESSAGES = 100_000;

const PEER = 'the same without monitoring';
const ON = { monitoring: { enabled: true } };
const OFF = { monitoring: { enabled: false } };

await benchmark('monitoring: switched on and off', async (report) => {
  const [on, off] = [poolWith(ON), poolWith(OFF)];
  for (const pool of [on, off]) (await pool.getServer('echo')).release();
  await compare('getServer + release', acquire(on), acquire(off), on, 61);
  await Promise.all([on.shutdown(), off.shutdown()]);

  const [watched, other] = [await openOurs(ON), await openOurs(OFF)];
  const { pool } = watched;
  await compare('pipelined requests', exchange(watched.client), exchange(other.client), pool, 151);
  await compare('small messages received', receive(watched.client), receive(other.client), pool, 401);
  await Promise.all([watched.close(), other.close()]);

  /** So that each sample counts for the monitored side, that side takes one more for each interval that it has worked. */
  async function compare(what, ours, theirs, monitored, rounds) {
    let worked = 0;
    const work = () =>
      timed(async () => {
        const isDue = worked >= INTERVAL;
        if (isDue) worked -= INTERVAL;
        const sample = isDue && monitored.monitor.sample();
        await ours();
        await sample;
      });
    const sides = {
      ours: async () => {
        const time = await work();
        worked += time;
        return time;
      },
      theirs: () => timed(theirs),
    };
    report(intervalRow({ what, peer: PEER, ...(await takeTurns(sides, pairs(rounds))), target: 1.05 }));
  }
});

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
