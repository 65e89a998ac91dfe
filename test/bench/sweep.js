// Markers: what a look and a sweep of a machine with 500 processes take, and what both marks add to a spawn.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { amountRow, benchmark, differenceRow, shareRow, takeTurns, timed } from './harness.js';
import { internals } from './internals.js';

const { findMarked, sweep, newHostMark, hostMark, linux, localLauncher, resolvePoolOptions, withEnvironment } =
  await internals();
const PROCESSES = 500;
const HANDLERS = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
const PROBE = { command: '/bin/cat', containment: 'markers' };
const DEFINITIONS = resolvePoolOptions({
  servers: { marked: PROBE, bare: { ...PROBE, containment: 'group' } },
}).servers;

const launcher = localLauncher(linux);

await benchmark('sweep: markers', async (report) => {
  // An ending does not hold the host open; its caller does.
  setInterval(() => {}, 1_000);
  const crowd = await startCrowd();
  const mark = { host: newHostMark() };
  // As of a server that was started now, after all of them.
  const old = Number.MAX_SAFE_INTEGER;
  try {
    const looks = { rounds: 31, warmUp: 3, seconds: 12 };
    const times = await takeTurns(
      {
        all: () => timed(() => findMarked(mark, linux)),
        bare: () => timed(readAll),
        since: () => timed(() => findMarked(mark, linux, { since: old })),
        stat: () => timed(() => linux.table.scan()),
        quiet: () => timed(() => sweep(mark, linux)),
        quietSince: () => timed(() => sweep(mark, linux, { since: old })),
      },
      looks,
    );
    const row = (what, amounts, target) =>
      report(amountRow({ what, peer: `${processes()} processes`, unit: 'ms', amounts, target }));
    row('one look, every process read for both marks', times.all, 20);
    const peer = 'a loop that reads the same files';
    report(shareRow({ what: 'one look, every process read', peer, ours: times.all, theirs: times.bare, target: 1.5 }));
    row('one look, when all are older than the server', times.since, 10);
    row('the table alone', times.stat, 10);
    row('three looks in a row, every process read', times.quiet, 40);
    row('three looks in a row, all older than the server', times.quietSince, 20);
  } finally {
    for (const child of crowd) child.kill('SIGKILL');
  }

  const spawns = await takeTurns(
    {
      ours: () => echoed('marked'),
      theirs: () => echoed('bare'),
      call: () => called('marked'),
      bareCall: () => called('bare'),
    },
    { rounds: 151, warmUp: 5, seconds: 20 },
  );
  const peer = 'the same without marks';
  report(differenceRow({ what: 'start until the first answer', peer, ...spawns, target: 2 }));
  const call = { ours: spawns.call, theirs: spawns.bareCall };
  report(differenceRow({ what: 'the spawn itself, which blocks the host', peer, ...call, target: 2 }));
  if (findMarked({ host: hostMark() }, linux).length > 0) throw new Error('something survives');
});

const buffer = Buffer.allocUnsafe(65_536);

/** Reads the row and both marks of every process, and makes nothing of them. */
function readAll() {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const file of ['stat', 'environ', 'limits']) {
      let descriptor;
      try {
        descriptor = openSync(`/proc/${pid}/${file}`, 'r');
        readSync(descriptor, buffer, 0, buffer.length, 0);
      } catch {
        // It has ended meanwhile.
      } finally {
        if (descriptor !== undefined) closeSync(descriptor);
      }
    }
  }
}

/** Processes of no server, so that the machine has 500. They end by themselves after a minute. */
async function startCrowd() {
  const missing = Math.max(0, PROCESSES - processes());
  const crowd = Array.from({ length: missing }, () => spawn('sleep', ['60'], { stdio: 'ignore' }));
  await Promise.all(crowd.map((child) => once(child, 'spawn')));
  return crowd;
}

function processes() {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)).length;
}

/** From the launch of `cat` until it has sent a line back. */
async function echoed(name) {
  let server;
  const time = await timed(async () => {
    server = launcher.launch(withEnvironment(DEFINITIONS.get(name)), HANDLERS);
    server.stdin.write('hello\n');
    await once(server.stdout, 'data');
  });
  await server.end({ mode: 'emergency' });
  return time;
}

async function called(name) {
  let server;
  const time = await timed(() => {
    server = launcher.launch(withEnvironment(DEFINITIONS.get(name)), HANDLERS);
  });
  await server.end({ mode: 'emergency' });
  return time;
}
