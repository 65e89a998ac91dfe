// The end of a tree of 1 + 50 processes: from the call until the last of them is dead, as /proc says, and until our call
// has proven that.
import { subscribe } from 'node:diagnostics_channel';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import treeKill from 'tree-kill';
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, ratioRow, takeTurns } from './harness.js';

const TREE = 51;
const treeServer = {
  command: process.execPath,
  args: [fileURLToPath(new URL('tree-server.js', import.meta.url))],
};

/** Processes that this one has started so far. */
let spawned = 0;
subscribe('child_process', () => {
  spawned += 1;
});

await benchmark('ending: a tree of 1 + 50 processes', async (report) => {
  const started = { ours: [], treeKill: [] };
  const times = await takeTurns(
    {
      ours: () => endTree((pool) => pool.shutdown({ mode: 'emergency' }), started.ours),
      proven: () => endTree((pool) => pool.shutdown({ mode: 'emergency' }), started.ours, 'until it says so'),
      treeKill: () => endTree((_pool, pid) => killWithTreeKill(pid), started.treeKill),
    },
    { rounds: 21, warmUp: 2, seconds: 45 },
  );
  const peer = 'tree-kill';
  report(ratioRow({ what: 'tree ended', peer, ours: times.ours, theirs: times.treeKill, target: 25 }));
  report(ratioRow({ what: 'tree ended and proven', peer, ours: times.proven, theirs: times.treeKill, target: 25 }));
  report(startedRow(started));
});

/**
 * Starts a tree, ends it, and returns how long that took: until all of it is dead, as a look at /proc shows; or until the
 * call that ends it has resolved, which must be when all of it is dead. Adds to `started` what was started meanwhile.
 */
async function endTree(end, started, until = 'all are dead') {
  const pool = new MCPServerPool({ servers: { tree: treeServer } });
  const { pid } = await pool.getServer('tree');
  const tree = descendants(pid);
  if (tree.length !== TREE) throw new Error(`the tree has ${tree.length} processes`);

  const spawnedBefore = spawned;
  const newestBefore = newestPid();
  const begun = performance.now();
  const ended = end(pool, pid);
  // A sparing look: it must not take the processor from what it watches.
  if (until === 'all are dead') while (tree.some(isAlive)) await sleep(1);
  else await ended;
  const time = performance.now() - begun;
  const alive = tree.filter(isAlive).length;
  if (alive > 0) throw new Error(`${alive} processes are alive`);
  started.push({ byUs: spawned - spawnedBefore, byAnybody: newestPid() - newestBefore });

  await ended;
  const { survivors } = await pool.shutdown({ mode: 'emergency' });
  if (survivors.length > 0) throw new Error(`${survivors.length} processes survive`);
  return time;
}

function killWithTreeKill(pid) {
  return new Promise((resolve, reject) => treeKill(pid, 'SIGKILL', (error) => (error ? reject(error) : resolve())));
}

/**
 * Node reports every process that it starts; what else could start one, the newest pid of the machine shows. The machine
 * has other work, so a single round in which that pid stays is enough.
 */
function startedRow({ ours, treeKill }) {
  const byUs = Math.max(...ours.map((round) => round.byUs));
  const quiet = ours.filter((round) => round.byAnybody === 0).length;
  const byTreeKill = Math.min(...treeKill.map((round) => round.byUs));
  return {
    what: 'processes started to end it',
    peer: 'tree-kill',
    value: String(byUs),
    target: '0',
    pass: byUs === 0 && quiet > 0,
    spread: `tree-kill: ${byTreeKill}`,
    note: `newest pid of the machine unchanged in ${quiet} of ${ours.length} rounds`,
  };
}

/** A process and all that descend from it. */
function descendants(root) {
  const parents = new Map();
  for (const entry of readdirSync('/proc')) {
    const fields = /^\d+$/.test(entry) ? stat(entry) : undefined;
    if (fields) parents.set(Number(entry), Number(fields[1]));
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/** A zombie is dead: it only waits to be collected. */
function isAlive(pid) {
  const state = stat(pid)?.[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** The fields of /proc/PID/stat from the state on. */
function stat(pid) {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return line.slice(line.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function newestPid() {
  return Number(readFileSync('/proc/loadavg', 'latin1').trim().split(' ').at(-1));
}
