// A server that is idle, taken and given back: ours, which gives out a real process, against pools of trivial objects.
// All three watch over the same deadline, which is the default of ours and of tarn; generic-pool has none by default.
import { createPool } from 'generic-pool';
import { Pool } from 'tarn';
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, ratioRow, takeTurns, timed } from './harness.js';
import { echoServer } from './transports.js';

const OPERATIONS = 100_000;
const DEADLINE = 30_000;

await benchmark('warm: acquire + release', async (report) => {
  const pool = new MCPServerPool({
    servers: {
      echo: { ...echoServer, maxInstances: 1 },
      owned: { ...echoServer, maxInstances: 2 },
      spared: { ...echoServer, maxInstances: 2, minIdle: 1 },
    },
    acquireTimeout: DEADLINE,
  });
  const tarn = new Pool({ create: () => ({}), destroy: () => {}, min: 1, max: 1, acquireTimeoutMillis: DEADLINE });
  const factory = { create: async () => ({}), destroy: async () => {} };
  const generic = createPool(factory, { min: 1, max: 1, testOnBorrow: false, acquireTimeoutMillis: DEADLINE });

  const times = await takeTurns(
    {
      ours: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) {
            const server = await pool.getServer('echo');
            server.release();
          }
        }),
      tarn: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) {
            const resource = await tarn.acquire().promise;
            tarn.release(resource);
          }
        }),
      generic: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) {
            const resource = await generic.acquire();
            // Returns a promise, but gives back at once: not awaited, as little as the others' release.
            void generic.release(resource);
          }
        }),
    },
    { rounds: 31, warmUp: 3 },
  );

  const what = 'warm getServer + release';
  report(ratioRow({ what, peer: 'tarn', ours: times.ours, theirs: times.tarn, target: 4 }));
  report(ratioRow({ what, peer: 'generic-pool', ours: times.ours, theirs: times.generic, target: 3 }));

  // Each owner has an idle process of its own (`reuse: 'owner'`), and they come in turn; the peer has two objects.
  const pair = new Pool({ create: () => ({}), destroy: () => {}, min: 2, max: 2, acquireTimeoutMillis: DEADLINE });
  const owners = ['x', 'y'];
  for (const owner of owners) (await pool.getServer('owned', { owner })).release();
  const requests = owners.map((owner) => ({ owner }));
  // One that was used is idle, and one is spare: each call is an operation, which may have to start another spare.
  const used = await pool.getServer('spared');
  await pool.warm('spared');
  used.release();
  const more = await takeTurns(
    {
      owners: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) (await pool.getServer('owned', requests[left % 2])).release();
        }),
      minIdle: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) (await pool.getServer('spared')).release();
        }),
      tarn: () =>
        timed(async () => {
          for (let left = OPERATIONS; left > 0; left--) pair.release(await pair.acquire().promise);
        }),
    },
    { rounds: 15, warmUp: 2 },
  );
  for (const [side, name] of [
    ['owners', 'two owners in turn'],
    ['minIdle', 'minIdle: 1'],
  ]) {
    report(ratioRow({ what: `${what}, ${name}`, peer: 'tarn', ours: more[side], theirs: more.tarn, target: 1 }));
  }
  await pool.shutdown();
});
