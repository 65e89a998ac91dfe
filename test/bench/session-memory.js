// What an attached session costs the host: bytes while it is there and after it, and time when thousands are there.
import { setTimeout as sleep } from 'node:timers/promises';
import { MCPServerPool } from '../../dist/index.js';
import { amountRow, benchmark, INITIALIZE, takeTurns, timed } from './harness.js';
import { echoServer } from './transports.js';

const SESSIONS = 20_000;
const ROUNDS = 5;
const OPERATIONS = 20_000;

const shared = { ...echoServer, sharing: 'shared', maxInstances: 1, maxSessions: Infinity };

await benchmark('session-memory: attached sessions', async (report) => {
  if (globalThis.gc === undefined) throw new Error('memory is measured with node --expose-gc');
  await measureMemory(report);
  await measureTime(report);
});

async function measureMemory(report) {
  const pool = new MCPServerPool(shared);
  await attach(pool);
  // Made before anything is counted, as everything of the client.
  const leases = new Array(SESSIONS).fill(undefined);
  const attached = [];
  const kept = [];
  // The first round is not counted: it compiles, and lets tables grow.
  for (let round = -1; round < ROUNDS; round++) {
    const before = await heapUsed();
    await attachAll(pool, leases);
    const during = await heapUsed();
    for (const lease of leases) lease.release();
    leases.fill(undefined);
    const after = await heapUsed();
    if (round < 0) continue;
    attached.push((during - before) / SESSIONS);
    kept.push((after - before) / SESSIONS);
  }
  const unit = 'bytes';
  report(amountRow({ what: 'heap of one of 20,000 sessions', peer: 'before', unit, amounts: attached, target: 1_024 }));
  // Less than any one object: what the garbage collector leaves here and there is not a session's.
  report(amountRow({ what: 'the same, kept after its release', peer: 'before', unit, amounts: kept, target: 8 }));
  await pool.shutdown();
}

async function measureTime(report) {
  const pools = [];
  const among = async (present) => {
    const pool = new MCPServerPool(shared);
    pools.push(pool);
    for (let left = present; left > 0; left--) await attach(pool);
    return () =>
      timed(async () => {
        for (let left = OPERATIONS; left > 0; left--) (await attach(pool)).release();
      });
  };
  const sides = { few: await among(100), many: await among(10_000) };
  const times = await takeTurns(sides, { rounds: 41, warmUp: 5, seconds: 12 });
  const ratios = times.many.map((time, round) => time / times.few[round]);
  const what = 'attach + release among 10,000 sessions, time';
  // A hundred times as many: not quite 1, since the tables of V8 that they are in leave the caches of the processor.
  report(amountRow({ what, peer: 'among 100', unit: 'x', amounts: ratios, target: 2 }));
  await Promise.all(pools.map((pool) => pool.shutdown()));
}

/** A lease with a transport that is started. */
async function attach(pool) {
  const lease = await pool.getServer();
  await lease.transport.start();
  return lease;
}

/** Sessions that are initialized. All have the same handler, so that what is counted is not the client's. */
async function attachAll(pool, leases) {
  let answered = 0;
  const onmessage = () => {
    answered += 1;
  };
  for (let index = 0; index < leases.length; index++) {
    const lease = await attach(pool);
    lease.transport.onmessage = onmessage;
    lease.transport.send({ jsonrpc: '2.0', id: 1, method: 'initialize', params: INITIALIZE });
    leases[index] = lease;
  }
  while (answered < leases.length) await sleep(1);
}

/** After two collections: what the first one finds may let the second one find more. */
async function heapUsed() {
  for (let pass = 0; pass < 2; pass++) {
    await sleep(10);
    globalThis.gc();
  }
  return process.memoryUsage().heapUsed;
}
