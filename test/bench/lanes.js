// Lanes: what a free one adds to a contained spawn, how soon the next command starts, and what it costs to wait.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SequentialExecutor } from 'mcp-server-pool';
import { amountRow, benchmark, differenceRow, quantile, takeTurns, timed } from './harness.js';
import { internals } from './internals.js';

const WAITING = 100;
const HANDED_ON = 40;
const KILLS = 20;
/** How long the CPU time of those that wait is counted, ms. */
const IDLE = 10_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Tells when its command has started, and when the lane is given on: nanoseconds of a clock that all processes share. */
const HOST = `
import { SequentialExecutor } from 'mcp-server-pool';
const [folder, command, ...args] = process.argv.slice(1);
const lane = new SequentialExecutor({ lane: 'bench', folder });
const say = (word) => console.log(word, String(process.hrtime.bigint()));
let isWaiting = false;
lane.on('lane:ended', () => say('ends'));
await lane.run(command, args, {
  termGrace: 0,
  onWaiting: () => isWaiting || say('waits', (isWaiting = true)),
  onStart: () => say('starts'),
});`;

await benchmark('lanes: one command at a time', async (report) => {
  // An ending does not hold the host open; its caller does.
  setInterval(() => {}, 1_000);
  const folder = mkdtempSync(join(tmpdir(), 'lanes-'));
  try {
    await freeLane(report, folder);
    await queue(report, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function freeLane(report, folder) {
  const { hostGuard, linux, localLauncher, resolvePoolOptions, withEnvironment } = await internals();
  const lane = new SequentialExecutor({ lane: 'free', folder });
  const guard = hostGuard(linux);
  const launcher = localLauncher(linux, { watch: () => guard.enter(true) });
  const server = resolvePoolOptions({ servers: { probe: { command: 'true' } } }).servers.get('probe');
  // So that the guardian runs for both: a spawn does not wait for it either.
  const other = new SequentialExecutor({ lane: 'other', folder });
  const stop = new AbortController();
  const held = other.run('sleep', ['1000'], { signal: stop.signal });
  const times = await takeTurns(
    {
      ours: () => timed(() => lane.run('true')),
      theirs: () => timed(() => contained(launcher, withEnvironment(server))),
    },
    { rounds: 101, warmUp: 5, seconds: 15 },
  );
  report(
    differenceRow({ what: 'run() on a free lane', peer: 'a contained spawn, until it is dead', ...times, target: 5 }),
  );
  stop.abort();
  await held;
  await Promise.all([lane.shutdown(), other.shutdown()]);
}

/** From the launch until the whole tree is proven dead, and its output was read. */
function contained(launcher, spec) {
  return new Promise((resolve, reject) => {
    const process = launcher.launch(spec, {
      onSpawn() {},
      onSpawnError: reject,
      onStderrLine() {},
      wantsStderr: () => false,
      onExit: () =>
        void process
          .end({ mode: 'graceful' })
          .then(() => process.drained())
          .then(resolve),
    });
    process.stdin.end();
    process.stdout.resume();
  });
}

async function queue(report, folder) {
  // While the file is there, commands do not end.
  const gate = join(folder, 'gate');
  const command = ['sh', '-c', 'sleep 0.5; while [ -e "$0" ]; do sleep 1; done', gate];
  writeFileSync(gate, '');
  const first = host(folder, ...command);
  await first.seen('starts');
  const hosts = Array.from({ length: WAITING }, () => host(folder, ...command));
  for (const { seen } of hosts) await seen('waits');
  const lane = new SequentialExecutor({ lane: 'bench', folder });
  const { queue: order } = await lane.status();
  const waiters = order.map(({ pid }) => hosts.find(({ child }) => child.pid === pid));
  // What has begun with the last arrivals is over.
  await sleep(2_000);

  const before = waiters.map(({ child }) => cpuTicks(child.pid));
  await sleep(IDLE);
  const shares = waiters.map(({ child }, index) => ((cpuTicks(child.pid) - before[index]) * 10 * 100) / IDLE);
  const what = `CPU of each of ${WAITING} that wait, of a core`;
  report(amountRow({ what, peer: 'none', unit: '%', amounts: shares, target: 0.1 }));

  rmSync(gate);
  const handed = [];
  for (let index = 1; index < HANDED_ON; index++) {
    handed.push(Number((await waiters[index].seen('starts')) - (await waiters[index - 1].seen('ends'))) / 1e6);
  }
  writeFileSync(gate, '');
  const then = `${WAITING} to ${WAITING - HANDED_ON} waiting`;
  report(amountRow({ what: 'handed on', peer: then, unit: 'ms', amounts: handed, target: 20 }));

  const after = [];
  let holder = (await lane.status()).holder?.pid;
  for (let kills = 0; kills < KILLS; kills++) {
    const index = waiters.findIndex(({ child }) => child.pid === holder);
    await waiters[index].seen('starts');
    // Its tree is complete, and those behind it know of it.
    await sleep(300);
    const killed = process.hrtime.bigint();
    waiters[index].child.kill('SIGKILL');
    after.push(Number((await waiters[index + 1].seen('starts')) - killed) / 1e6);
    holder = waiters[index + 1].child.pid;
  }
  const peer = `about ${WAITING - HANDED_ON - KILLS} to ${WAITING - HANDED_ON} waiting`;
  report(amountRow({ what: 'after SIGKILL of the holder', peer, unit: 'ms', amounts: after, target: 300 }));
  const worst = [quantile(after, 1)];
  report(amountRow({ what: `the worst of ${KILLS}`, peer, unit: 'ms', amounts: worst, target: 1_000 }));
  for (const { child } of waiters.toReversed()) child.kill('SIGKILL');
  // The guardian of the last one ends its tree.
  await sleep(1_000);
}

/** Starts a process that runs a command in the lane. `seen` resolves with when it has said a word. */
function host(folder, ...command) {
  const args = ['--input-type=module', '-e', HOST, folder, ...command];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  const said = new Map();
  const words = ['waits', 'starts', 'ends'];
  for (const word of words) {
    let resolve;
    said.set(word, { promise: new Promise((done) => (resolve = done)), resolve });
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [word, time] = line.split(' ');
    said.get(word)?.resolve(BigInt(time));
  });
  return { child, seen: (word) => said.get(word).promise };
}

/** Hundredths of a second. */
function cpuTicks(pid) {
  const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
