// What the whole monitor costs a host whose servers do nothing: samples, the look at the host, what is compared, the event loop.
import { setTimeout as sleep } from 'node:timers/promises';
import { MCPServerPool } from '../../dist/index.js';
import { amountRow, benchmark, cpuOf } from './harness.js';

const SERVERS = 100;
/** Processes of each, as of a server that is started by npx. They end by themselves after three minutes. */
const PROCESSES = 3;
const SCRIPT = 'sleep 180 & sleep 180 & wait';
/** The default. */
const INTERVAL = 5_000;
/** A host runs for hours: its code is compiled by then, and what that has left is collected. */
const WARM_UP = 100;
const SETTLE = 4;
/** Every tenth sample does more: it looks for what has left its tree. */
const INTERVALS = 12;

await benchmark('monitor: a host whose servers do nothing', async (report) => {
  const definition = { command: '/bin/sh', args: ['-c', SCRIPT], sharing: 'dedicated' };
  const names = Array.from({ length: SERVERS }, (_, index) => `s${index}`);
  const pool = new MCPServerPool({
    servers: Object.fromEntries(names.map((name) => [name, definition])),
    limits: { maxProcesses: SERVERS },
  });
  await Promise.all(names.map((name) => pool.getServer(name)));
  for (let sample = 0; sample < WARM_UP; sample++) await pool.monitor.sample();
  const percent = async (intervals) => {
    const time = intervals * INTERVAL;
    return (100 * (await cpuOf(() => sleep(time)))) / time;
  };
  pool.monitor.start();
  // So that each of the intervals has one sample in its middle.
  await sleep((SETTLE + 1 / 2) * INTERVAL);
  const monitored = await percent(INTERVALS);
  check(pool.monitor.latest);
  pool.monitor.stop();
  const stopped = await percent(2);
  await pool.shutdown({ mode: 'emergency' });
  report(
    amountRow({
      what: `${SERVERS} servers, monitored at the default interval`,
      peer: 'the monitor stopped',
      unit: '% of a core',
      amounts: [monitored - stopped],
      target: 0.5,
    }),
  );
});

function check({ trees, totals }) {
  if (trees.length === SERVERS && totals.processes === SERVERS * PROCESSES) return;
  throw new Error(`${totals.processes} processes of ${trees.length} trees`);
}
