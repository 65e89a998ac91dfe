// 100 client sessions work on the four official MCP servers, through ONE pool of at most 8 process trees.
// Every result is checked. At the end /proc is searched for processes that were left behind.
//
//   npm start                              in a clone: builds the library, then runs this file
//   node examples/quickstart/index.js      what it needs of an installed package: ../README.md
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MCPServerPool } from 'mcp-server-pool';
import { Progress } from './progress.js';
import { printReport } from './report.js';
import { definitions } from './servers.js';
import { planSession, runSession, Tally } from './sessions.js';
import { findMarked, newMarker, Watch } from './survivors.js';

const SESSIONS = 100;
const WAVE = 20;
const MAX_PROCESSES = 8;
const TENANTS = ['north', 'south'];

// First of all: a signal that came earlier would leave the folder.
const interrupted = shutDownOnSignal(() => pool);
let pool;
const folder = mkdtempSync(join(tmpdir(), 'mcp-quickstart-'));
try {
  process.exitCode = await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs all sessions, shuts the pool down, and prints the report. Returns the exit code. */
async function main() {
  const marker = newMarker();
  pool = new MCPServerPool({
    servers: definitions({ folder, tenants: TENANTS, env: marker.env }),
    limits: { maxProcesses: MAX_PROCESSES },
  });
  const tally = new Tally();
  // No process serves two tenants: for the sessions of the second tenant, idle processes of the first one are ended.
  const tenantOf = (index) => TENANTS[index < SESSIONS / 2 ? 0 : 1];
  const sessions = Array.from({ length: SESSIONS }, (_, index) => planSession(index, tenantOf(index)));
  const watch = new Watch(marker);
  const progress = new Progress(pool, tally, sessions.length);
  const started = performance.now();

  console.log(`${SESSIONS} sessions, ${WAVE} at once, on 4 servers; at most ${MAX_PROCESSES} processes`);
  for (let first = 0; first < sessions.length && !interrupted.aborted; first += WAVE) {
    const wave = sessions.slice(first, first + WAVE);
    await Promise.all(wave.map((session) => runSession(session, { pool, tally, folder, interrupted })));
    progress.waveDone();
  }

  const shutdown = await pool.shutdown();
  const survivors = findMarked(marker);
  watch.stop();
  progress.stop();

  const passed = printReport({
    sessions,
    tally,
    metrics: pool.metrics(),
    watch,
    shutdown,
    survivors,
    limit: MAX_PROCESSES,
    interrupted: interrupted.aborted,
    duration: performance.now() - started,
  });
  if (interrupted.aborted) return interrupted.reason === 'SIGINT' ? 130 : 143;
  return passed ? 0 : 1;
}

/**
 * A signal shuts the pool down, a second one at once. The pool itself installs no signal handlers unless `handleSignals` is
 * set; this host handles signals itself, since it still has a report to print.
 */
function shutDownOnSignal(poolOf) {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      const mode = controller.signal.aborted ? 'emergency' : 'graceful';
      controller.abort(signal);
      void poolOf()?.shutdown({ mode, drainTimeout: 1_000 });
    });
  }
  return controller.signal;
}
