// Shows a pool in a terminal, live. It runs servers of its own, so that there is something to see at once.
//
//   npm run build                                   in a clone; of an installed package: ../README.md
//   node examples/terminal-monitor/index.js fast    every 2 s (default)
//   node examples/terminal-monitor/index.js slow    every 10 s
//   node examples/terminal-monitor/index.js once    one picture; also for a file or a pipe
//
// Ctrl-C ends it. In your own host you need formatStatus(pool.status()) and perhaps screen.js.
import { setTimeout } from 'node:timers/promises';
import { formatStatus, MCPServerPool } from 'mcp-server-pool';
import { servers, startAll, startTraffic } from './demo.js';
import { Screen } from './screen.js';

const INTERVALS = { fast: 2_000, slow: 10_000, once: 0 };
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const [, , mode = 'fast'] = process.argv;
if (Object.hasOwn(INTERVALS, mode)) process.exitCode = await main(INTERVALS[mode]);
else {
  console.error('usage: node examples/terminal-monitor/index.js [fast | slow | once]');
  process.exitCode = 2;
}

/** Returns the exit code. */
async function main(interval) {
  const pool = new MCPServerPool({ servers, limits: { maxProcesses: 8 } });
  const ended = endOfUse(pool);
  const screen = new Screen(process.stdout);
  try {
    await startAll(pool);
    if (interval === 0) await drawOnce(pool, screen);
    else await drawUntil(ended, pool, screen, interval);
  } catch (error) {
    // The pool may have been ended while it started.
    if (!ended.aborted) throw error;
  } finally {
    screen.close();
    await pool.shutdown({ drainTimeout: 0 });
  }
  return SIGNALS[ended.reason] ?? 0;
}

async function drawOnce(pool, screen) {
  // CPU is known after two samples.
  await pool.monitor.sample();
  await setTimeout(500);
  await pool.monitor.sample();
  screen.draw(formatStatus(pool.status(), screen.format));
}

async function drawUntil(ended, pool, screen, interval) {
  const stopTraffic = startTraffic(pool);
  while (!ended.aborted) {
    screen.draw(formatStatus(pool.status(), screen.format));
    await setTimeout(interval, undefined, { signal: ended }).catch(() => {});
  }
  stopTraffic();
}

/** Aborted by a signal, or when nothing reads the output any more: `… | head`. A second signal does not wait for graces. */
function endOfUse(pool) {
  const controller = new AbortController();
  for (const signal of Object.keys(SIGNALS)) {
    process.on(signal, () => {
      if (controller.signal.aborted) void pool.shutdown({ mode: 'emergency' });
      else controller.abort(signal);
    });
  }
  process.stdout.on('error', () => controller.abort('EPIPE'));
  return controller.signal;
}
