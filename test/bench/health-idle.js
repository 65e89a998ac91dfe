// What health checks, alerts and service levels of many servers that do nothing cost their host.
import { setTimeout as sleep } from 'node:timers/promises';
import { MCPServerPool } from '../../dist/index.js';
import { amountRow, benchmark, cpuOf } from './harness.js';

const SERVERS = 100;
/** A tenth of the default, so that a tenth of the time shows as many checks; what it costs is a tenth of what is measured. */
const INTERVAL = 3_000;
const FASTER = 10;
const WARM_UP = 10;
const INTERVALS = 10;

const OFF = { serviceLevels: { enabled: false }, alerts: { enabled: false } };

/** A small MCP server: it answers `initialize` and `ping`, and ends by itself after three minutes. */
const SCRIPT = `
(sleep 180; kill $$) &
while IFS= read -r line; do
  id=\${line#*\\"id\\":}; id=\${id%%,*}
  case $line in
    *'"method":"initialize"'*) result='{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"method":"ping"'*) result='{}' ;;
    *) continue ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\\n' "$id" "$result"
done`;

await benchmark('health: a host whose servers do nothing', async (report) => {
  const names = Array.from({ length: SERVERS }, (_, index) => `s${index}`);
  const of = (health, options) =>
    new MCPServerPool({
      ...options,
      servers: Object.fromEntries(
        names.map((name) => [name, { command: '/bin/sh', args: ['-c', SCRIPT], sharing: 'shared', health }]),
      ),
      limits: { maxProcesses: SERVERS },
    });
  const percent = async (pool, checks) => {
    await Promise.all(names.map((name) => pool.getServer(name)));
    if (checks) await sleep(WARM_UP * INTERVAL);
    const time = INTERVALS * INTERVAL;
    const used = (100 * (await cpuOf(() => sleep(time)))) / time;
    const unwell = pool.health.status().filter(({ status }) => status !== 'healthy');
    if (checks && (pool.health.status().length !== SERVERS || unwell.length > 0))
      throw new Error(JSON.stringify(unwell[0]));
    await pool.shutdown({ mode: 'emergency' });
    return used;
  };
  const checked = await percent(of({ interval: INTERVAL, timeout: INTERVAL }), true);
  const unchecked = await percent(of({ check: false, stuckAfter: Infinity }, OFF), false);
  report(
    amountRow({
      what: `${SERVERS} servers: health, alerts, service levels`,
      peer: 'none of these',
      unit: '% of a core',
      amounts: [(checked - unchecked) / FASTER],
      target: 0.5,
    }),
  );
});
