// What trees use: one sample of many trees against pidusage for as many single processes.
import { setTimeout as sleep } from 'node:timers/promises';
import pidusage from 'pidusage';
import { benchmark, cpuOf, shareRow, takeTurns, timed } from './harness.js';
import { internals } from './internals.js';

const { linux, localLauncher, resolvePoolOptions, withEnvironment } = await internals();
const HANDLERS = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
/** How many processes a tree has. It ends by itself after two minutes. */
const TREE = 10;
const FEWER = [50, 200];
const MOST = 500;
/** A look at the process table may use parts of one that is not older than 100 ms; samples in a pool never can. */
const APART = 120;

const launcher = localLauncher(linux);

await benchmark('usage: what trees use', async (report) => {
  // A server does not hold the host open.
  const hold = setInterval(() => {}, 1_000);
  const perProcess = {};
  for (const processes of [...FEWER, MOST]) {
    const trees = await startTrees(processes / TREE, TREE);
    const pids = pidsOf(trees);
    const spent = [];
    const ours = async () => void spent.push((await cpuOf(() => sample(trees))) / processes);
    const times = await takeTurns(
      { ours: () => apart(ours), theirs: () => apart(() => pidusage([...pids])) },
      { rounds: 41, warmUp: 5, seconds: 20 },
    );
    perProcess[processes] = spent.slice(-times.ours.length);
    await end(trees);
    const peer = `warm pidusage of ${processes} single pids`;
    // Fewer processes are a smaller part of what the look at the whole machine takes.
    if (processes < MOST) continue;
    report(shareRow({ what: `one sample of ${processes} processes in trees`, peer, ...times, target: 1.5 }));
  }
  // What grows faster than the number of processes shows here.
  for (const fewer of FEWER) {
    report(
      shareRow({
        what: `CPU time of one process in a sample of ${MOST}`,
        peer: `one in a sample of ${fewer}`,
        ours: sorted(perProcess[MOST]),
        theirs: sorted(perProcess[fewer]),
        target: 1,
      }),
    );
  }

  clearInterval(hold);
});

/** Both sides of a round in order of time: they were not measured in the same minute. */
function sorted(times) {
  return times.toSorted((a, b) => a - b);
}

/** Shells with children that sleep. */
async function startTrees(count, size) {
  const script = `i=1; while [ $i -lt ${size} ]; do sleep 120 & i=$((i+1)); done; echo up; wait`;
  const { servers } = resolvePoolOptions({ servers: { tree: { command: '/bin/sh', args: ['-c', script] } } });
  const trees = [];
  for (let index = 0; index < count; index++) {
    const tree = launcher.launch(withEnvironment(servers.get('tree')), HANDLERS);
    await new Promise((resolve) => tree.stdout.once('data', resolve));
    trees.push(tree);
  }
  // The last of them have joined their cgroups by then.
  await sleep(1_000);
  return trees;
}

function end(trees) {
  return Promise.all(trees.map((tree) => tree.end({ mode: 'emergency' })));
}

async function sample(trees) {
  const found = await Promise.all(trees.map((tree) => tree.usage()));
  if (found.some(({ processes }) => processes < 2)) throw new Error('a tree has lost its processes');
}

/** The pids of the trees: each leader, and what has it as parent. */
function pidsOf(trees) {
  const leaders = new Set(trees.map(({ pid }) => pid));
  const rows = [...linux.table.scan().values()];
  return rows.filter(({ pid, parent }) => leaders.has(pid) || leaders.has(parent)).map(({ pid }) => pid);
}

/** The time that `task` takes, or that it returns, a moment after the one before. */
async function apart(task) {
  await sleep(APART);
  let own;
  const time = await timed(async () => {
    own = await task();
  });
  return typeof own === 'number' ? own : time;
}
