// What the whole monitor costs a host whose servers do nothing: samples, the look at the host, what is compared, the event loop.
import { setTimeout as sleep } from 'node:timers/promises';
import { MCPServerPool } from '../../dist/index.js';
import { amountRow, benchmark, cpuOf, median } from './harness.js';

const SERVERS = 100;
/** Processes of each, as of a server that is started by npx. They end by themselves after three minutes. */
const PROCESSES = 3;
const SCRIPT = 'sleep 180 & sleep 180 & wait';
/** The default. */
const INTERVAL = 5_000;
const TURNS = 3;
/** A host runs for hours: its code is compiled by then. */
const WARM_UP = 100;
const IN_TURN = 3;

await benchmark('monitor: a host whose servers do nothing', async (report) => {
  const definition = { command: '/bin/sh', args: ['-c', SCRIPT], sharing: 'dedicated' };
  const names = Array.from({ length: SERVERS }, (_, index) => `s${index}`);
  const pool = new MCPServerPool({
    servers: Object.fromEntries(names.map((name) => [name, definition])),
    limits: { maxProcesses: SERVERS },
  });
  await Promise.all(names.map((name) => pool.getServer(name)));
  for (let sample = 0; sample < WARM_UP; sample++) await pool.monitor.sample();
  const percent = async () => (100 * (await cpuOf(() => sleep(INTERVAL)))) / INTERVAL;
  const monitored = [];
  const stopped = [];
  for (let turn = 0; turn < TURNS; turn++) {
    pool.monitor.start();
    // So that each of the following intervals has one sample in its middle.
    await sleep(INTERVAL / 2);
    for (let round = 0; round < IN_TURN; round++) monitored.push(await percent());
    check(pool.monitor.latest);
    pool.monitor.stop();
    stopped.push(await percent());
  }
  await pool.shutdown({ mode: 'emergency' });
  report(
    amountRow({
      what: `${SERVERS} servers, monitored at the default interval`,
      peer: 'the monitor stopped',
      unit: '% of a core',
      amounts: monitored.map((share) => share - median(stopped)),
      target: 0.5,
    }),
  );
});

function check({ trees, totals }) {
  if (trees.length === SERVERS && totals.processes === SERVERS * PROCESSES) return;
  throw new Error(`${totals.processes} processes of ${trees.length} trees`);
}
