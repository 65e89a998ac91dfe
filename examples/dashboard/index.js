// Shows a pool in a browser, live, and acts on it. It runs servers of its own, so that there is something to see at once.
//
//   npm install uplot                          draws the graphs; in a clone: npm ci && npm run build (../README.md)
//   node examples/dashboard/index.js           on any free port
//   node examples/dashboard/index.js 4000      on port 4000
//
// It prints an address: open that. Ctrl-C ends it, with its servers. In your own host you need serveDashboard(pool).
import { once } from 'node:events';
import { MCPServerPool } from 'mcp-server-pool';
import { servers, startTraffic } from './demo.js';
import { serveDashboard } from './server/serve-dashboard.js';

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const [, , port = '0'] = process.argv;
if (/^\d{1,5}$/.test(port) && Number(port) < 65_536) process.exitCode = await main(Number(port));
else {
  console.error('usage: node examples/dashboard/index.js [port]');
  process.exitCode = 2;
}

/** Returns the exit code. */
async function main(port) {
  const pool = new MCPServerPool({
    servers,
    limits: { maxProcesses: 12 },
    // More often than a host would: this is to be looked at.
    monitoring: { interval: 1_000 },
    alerts: { for: 2_000 },
  });
  const ended = endOfUse(pool);
  let dashboard;
  let stopTraffic = () => {};
  try {
    dashboard = await serveDashboard(pool, { port });
    console.log(`the dashboard of ${Object.keys(servers).length} demo servers:\n\n  ${dashboard.url}\n`);
    console.log('Whoever has this address can use it. It is new at each start. Ctrl-C ends all.');
    await pool.start();
    stopTraffic = startTraffic(pool);
    if (!ended.aborted) await once(ended, 'abort');
  } catch (error) {
    // The pool may have been ended while it started.
    if (!ended.aborted) {
      console.error(error.message);
      return 1;
    }
  } finally {
    stopTraffic();
    await dashboard?.close();
    const { servers: trees, survivors } = await pool.shutdown({ drainTimeout: 0 });
    console.log(`\n${trees.length} servers ended, ${survivors.length} left`);
  }
  return SIGNALS[ended.reason];
}

/** Aborted by the first signal. The second one does not wait for graces. */
function endOfUse(pool) {
  const controller = new AbortController();
  for (const signal of Object.keys(SIGNALS)) {
    process.on(signal, () => {
      if (controller.signal.aborted) void pool.shutdown({ mode: 'emergency' });
      else controller.abort(signal);
    });
  }
  return controller.signal;
}
