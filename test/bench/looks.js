// One look at the process table for all trees: for how long a plan and the end of 100 servers block the host, against one look.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { benchmark, shareRow, timed } from './harness.js';
import { internals } from './internals.js';

const { findMarked, newHostMark, linux, MCPServerPool } = await internals();
const SERVERS = 100;
const PROCESSES = 500;
const ROUNDS = 5;

await benchmark('looks: many trees', async (report) => {
  setInterval(() => {}, 1_000);
  const missing = Math.max(0, PROCESSES - SERVERS - processes());
  const crowd = Array.from({ length: missing }, () => spawn('sleep', ['120'], { stdio: 'ignore' }));
  await Promise.all(crowd.map((child) => once(child, 'spawn')));
  const times = { graceful: { look: [], plan: [], block: [] }, emergency: { look: [], plan: [], block: [] } };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const mode of ['graceful', 'emergency']) {
        const pool = await fullPool();
        times[mode].look.push(await timed(() => findMarked({ host: newHostMark() }, linux)));
        times[mode].plan.push(await timed(() => pool.plan('shutdown')));
        times[mode].block.push(await longestBlock(() => pool.shutdown({ mode })));
      }
    }
  } finally {
    for (const child of crowd) child.kill('SIGKILL');
  }
  const peer = `one look at ${PROCESSES} processes`;
  const row = (what, ours, { look }) => report(shareRow({ what, peer, ours, theirs: look, target: 4 }));
  row(`plan() of ${SERVERS} servers`, times.graceful.plan, times.graceful);
  row(`longest block in the shutdown of ${SERVERS} servers`, times.graceful.block, times.graceful);
  row(`longest block in an emergency of ${SERVERS} servers`, times.emergency.block, times.emergency);
});

async function fullPool() {
  const names = Array.from({ length: SERVERS }, (_, index) => `s${index}`);
  const server = { command: 'cat', sharing: 'dedicated' };
  const pool = new MCPServerPool({
    servers: Object.fromEntries(names.map((name) => [name, server])),
    limits: { maxProcesses: SERVERS },
    guardian: { enabled: false },
  });
  await Promise.all(names.map((name) => pool.getServer(name)));
  return pool;
}

/** The longest time between two turns of the event loop while `task` runs, ms. */
async function longestBlock(task) {
  let longest = 0;
  let last = performance.now();
  let over = false;
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!over) setImmediate(turn);
  };
  turn();
  await task();
  over = true;
  return longest;
}

function processes() {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).length;
}
