// What a scrape of a pool costs, against what prom-client takes to print as many plain series: gauges that stand still.
import { channel } from 'node:diagnostics_channel';
import { Gauge, Registry } from 'prom-client';
import { MCPServerPool } from '../../dist/index.js';
import { collectPool } from '../../dist/prometheus.js';
import { benchmark, shareRow, takeTurns, timed } from './harness.js';

const SERVERS = 100;
/** They end by themselves after three minutes. */
const SCRIPT = 'sleep 180';
const METHODS = ['tools/list', 'tools/call'];
/** One scrape takes milliseconds: several in a round. */
const SCRAPES = 20;

await benchmark('scrape: the metrics of 100 servers', async (report) => {
  const names = Array.from({ length: SERVERS }, (_, index) => `server-${index}`);
  const definition = { command: '/bin/sh', args: ['-c', SCRIPT], sharing: 'dedicated' };
  const pool = new MCPServerPool({
    servers: Object.fromEntries(names.map((name) => [name, definition])),
    limits: { maxProcesses: SERVERS },
  });
  const register = new Registry();
  collectPool(pool, { register });
  await Promise.all(names.map((name) => pool.getServer(name)));
  await pool.monitor.sample();
  // Their requests, as the pool publishes them: these servers answer none.
  const ended = channel('mcp-server-pool:request:end');
  for (const name of names) {
    for (const method of METHODS) {
      ended.publish({ pool, request: { method }, server: { name }, outcome: 'ok', duration: 3 });
    }
  }
  const { plain, series } = await plainSeries(register);
  const scrape = (of) => () =>
    timed(async () => {
      for (let left = SCRAPES; left > 0; left--) await of.metrics();
    });
  const sides = { ours: scrape(register), theirs: scrape(plain) };
  const times = await takeTurns(sides, { rounds: 61, warmUp: 5, seconds: 60 });
  await pool.shutdown({ mode: 'emergency' });
  report(
    shareRow({
      what: `a scrape of ${SERVERS} servers`,
      peer: `prom-client, ${series} plain series`,
      ...times,
      target: 2,
    }),
  );
});

/** As many series with the same labels, of gauges that nothing changes. */
async function plainSeries(register) {
  const plain = new Registry();
  let series = 0;
  for (const { name, values } of await register.getMetricsAsJSON()) {
    // The three parts of a histogram have names of their own.
    const nameOf = ({ metricName }) => metricName ?? name;
    for (const one of new Set(values.map(nameOf))) {
      const its = values.filter((value) => nameOf(value) === one);
      const labelNames = Object.keys(its[0]?.labels ?? {});
      const gauge = new Gauge({ name: one, help: 'As many series.', labelNames, registers: [plain] });
      for (const { labels, value } of its) gauge.set(labels, value);
      series += its.length;
    }
  }
  return { plain, series };
}
