// Callers that contend for four servers: ours, which gives out real processes, against pools of trivial objects. Every caller
// takes one, gives it back in the next turn of promises, and comes again; order of arrival is checked for ours.
import { createPool } from 'generic-pool';
import { Pool } from 'tarn';
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, ratioRow, shareRow, takeTurns, timed } from './harness.js';
import { echoServer } from './transports.js';

const INSTANCES = 4;
const OPERATIONS = 40_000;
const DEADLINE = 60_000;

/** The same three steps for each kind of pool. */
async function ours() {
  const pool = new MCPServerPool({
    servers: {
      echo: { ...echoServer, maxInstances: INSTANCES },
      other: { ...echoServer, sharing: 'shared', maxSessions: 20_000 },
    },
    limits: { maxProcesses: INSTANCES + 1 },
    acquireTimeout: DEADLINE,
    maxWaiting: 20_000,
  });
  await pool.warm('echo', { count: INSTANCES });
  return { pool, acquire: () => pool.getServer('echo'), release: (server) => void server.release() };
}

function tarn() {
  const options = { min: INSTANCES, max: INSTANCES, acquireTimeoutMillis: DEADLINE };
  const pool = new Pool({ create: () => ({}), destroy: () => {}, ...options });
  return { acquire: () => pool.acquire().promise, release: (resource) => void pool.release(resource) };
}

function generic() {
  const factory = { create: async () => ({}), destroy: async () => {} };
  const pool = createPool(factory, { min: INSTANCES, max: INSTANCES, acquireTimeoutMillis: DEADLINE });
  return { acquire: () => pool.acquire(), release: (resource) => void pool.release(resource) };
}

/** So many callers take and give back until all operations are done. */
async function contend({ acquire, release }, callers, operations = OPERATIONS) {
  const each = Math.ceil(operations / callers);
  let arrived = 0;
  let served = 0;
  const caller = async () => {
    for (let left = each; left > 0; left--) {
      const number = ++arrived;
      const server = await acquire();
      if (number !== ++served) throw new Error(`caller ${number} was served as number ${served}`);
      release(server);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

/** How long so many calls in one tick keep the loop from its next turn, until all are served. */
async function blocked({ acquire, release }, calls) {
  let longest = 0;
  let last = performance.now();
  let isDone = false;
  const watch = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!isDone) setImmediate(watch);
  };
  setImmediate(watch);
  await Promise.all(Array.from({ length: calls }, async () => release(await acquire())));
  isDone = true;
  await new Promise((resolve) => setImmediate(resolve));
  return longest;
}

await benchmark('contended: callers that wait for 4 servers', async (report) => {
  const pools = { ours: await ours(), tarn: tarn(), generic: generic() };
  for (const callers of [8, 64, 256, 1_000]) {
    const round = (pool) => () => timed(() => contend(pool, callers));
    const sides = { ours: round(pools.ours), tarn: round(pools.tarn), generic: round(pools.generic) };
    const times = await takeTurns(sides, { rounds: 15, warmUp: 2 });
    const what = `contended getServer + release, ${callers.toLocaleString('en')} callers`;
    report(ratioRow({ what, peer: 'tarn', ours: times.ours, theirs: times.tarn, target: 1 }));
    report(ratioRow({ what, peer: 'generic-pool', ours: times.ours, theirs: times.generic, target: 0 }));
  }

  const growth = await takeTurns(
    {
      many: () => timed(() => contend(pools.ours, 10_000)),
      few: () => timed(() => contend(pools.ours, 8)),
    },
    { rounds: 11, warmUp: 2 },
  );
  report(ratioRow({ what: 'the same, 10,000 callers', peer: '8', ours: growth.many, theirs: growth.few, target: 0.5 }));

  const blocks = await takeTurns(
    { ours: () => blocked(pools.ours, 4_000), tarn: () => blocked(pools.tarn, 4_000) },
    { rounds: 11, warmUp: 2 },
  );
  report(
    ratioRow({
      what: '4,000 calls in one tick: loop blocked',
      peer: 'tarn',
      ours: blocks.ours,
      theirs: blocks.tarn,
      target: 1,
    }),
  );

  const { pool } = pools.ours;
  const once = () =>
    timed(async () => {
      for (let left = 20_000; left > 0; left--) (await pool.getServer('echo')).release();
    });
  const held = { few: [], many: [] };
  for (let round = 0; round < 9; round++) {
    for (const [name, count] of round % 2
      ? [
          ['few', 10],
          ['many', 10_000],
        ]
      : [
          ['many', 10_000],
          ['few', 10],
        ]) {
      const leases = await Promise.all(Array.from({ length: count }, () => pool.getServer('other')));
      globalThis.gc?.();
      held[name].push(await once());
      for (const lease of leases) lease.release();
    }
  }
  report(
    shareRow({
      what: 'acquire + release beside 10,000 held leases',
      peer: 'beside 10',
      ours: held.many,
      theirs: held.few,
      target: 1.2,
    }),
  );
  await pool.shutdown();
});
