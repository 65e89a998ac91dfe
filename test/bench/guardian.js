// Guardian: what it adds to a spawn and to the memory of a host, and how soon nothing is alive after the host was killed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { amountRow, benchmark, differenceRow, quantile, takeTurns, timed } from './harness.js';
import { internals } from './internals.js';

const { HostGuard, linux, localLauncher, resolvePoolOptions, withEnvironment } = await internals();
const HANDLERS = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
const definition = (more) =>
  resolvePoolOptions({ servers: { probe: { command: '/bin/cat', ...more } } }).servers.get('probe');
const UNMARKED = { markers: { environment: false, rlimit: false }, containment: 'group' };
const KILLS = 100;

/** Each ends by itself after a minute. */
const SCRIPTS = [
  'exec sleep 60 "$0"',
  'sleep 60 "$0" & wait',
  'setsid sleep 60 "$0" & cat',
  '(setsid sh -c \'sleep 60 "$0" & true\' "$0" &); cat',
  '(env -i setsid sh -c \'sleep 60 "$0" & true\' "$0" &); cat',
  'trap "" TERM INT HUP; sleep 60 "$0" & sleep 60 "$0"; wait',
];

const HOST = `
import { MCPServerPool } from 'mcp-server-pool';
const [tag, containment, ...scripts] = process.argv.slice(1);
const servers = Object.fromEntries(scripts.map((script, index) => ['s' + index, { command: 'sh', args: ['-c', script, tag], sharing: 'dedicated' }]));
const pool = new MCPServerPool({ servers, containment });
for (const name of Object.keys(servers)) await pool.getServer(name);
console.log('up');
setTimeout(() => process.exit(), 30_000);`;

await benchmark('guardian: the death of a host', async (report) => {
  // An ending does not hold the host open; its caller does.
  setInterval(() => {}, 1_000);
  const guard = new HostGuard(linux);
  guard.configure(
    {
      reaper: fileURLToPath(import.meta.resolve('mcp-server-pool/package.json')).replace(
        'package.json',
        'dist/reaper.js',
      ),
    },
    true,
  );
  const guarded = [localLauncher(linux, { watch: () => guard.enter(true) }), definition({ containment: 'markers' })];
  const bare = [localLauncher(linux), definition(UNMARKED)];
  const first = await takeTurns(
    { ours: () => echoed(...guarded), theirs: () => echoed(...bare) },
    { rounds: 101, warmUp: 5, seconds: 15 },
  );
  const peer = 'neither marks nor guardian';
  // Once for each host, not for each server.
  report(differenceRow({ what: 'the first server, with which the guardian starts', peer, ...first, target: 10 }));
  const other = launch(...guarded);
  const { guardian } = guard.status();
  const next = await takeTurns(
    { ours: () => echoed(...guarded), theirs: () => echoed(...bare) },
    { rounds: 101, warmUp: 5, seconds: 15 },
  );
  report(differenceRow({ what: 'each further server, until its first answer', peer, ...next, target: 2 }));
  report(
    amountRow({
      what: 'private memory of the guardian',
      peer: 'one host',
      unit: 'MB',
      amounts: [privateMB(guardian)],
      target: 2,
    }),
  );
  await other.end({ mode: 'emergency' });
  await guard.settled();

  for (const containment of ['auto', 'markers']) await kills(report, containment);
});

/** `auto`: with a cgroup, where this machine lets us have one. */
async function kills(report, containment) {
  const times = [];
  for (let run = 0; run < KILLS; run++) times.push(await killed(run, containment));
  const peer = `6 trees that lose their processes, ${containment}`;
  report(amountRow({ what: 'host killed until nothing is alive', peer, unit: 'ms', amounts: times, target: 150 }));
  const worst = [quantile(times, 1)];
  report(amountRow({ what: `the worst of ${times.length}`, peer, unit: 'ms', amounts: worst, target: 1_000 }));
}

function launch(launcher, server) {
  return launcher.launch(withEnvironment(server), HANDLERS);
}

/** From the launch of `cat` until it has sent a line back. */
async function echoed(launcher, server) {
  let process;
  const time = await timed(async () => {
    process = launch(launcher, server);
    process.stdin.write('hello\n');
    await once(process.stdout, 'data');
  });
  await process.end({ mode: 'emergency' });
  return time;
}

function privateMB(pid) {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
  const kilobytes = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)].map(([, value]) => Number(value));
  return kilobytes.reduce((sum, value) => sum + value, 0) / 1024;
}

/** Ms from the SIGKILL of a host until all of its servers are dead. */
async function killed(run, containment) {
  // Of no other process of the machine; sleep adds it to its time.
  const tag = `0.0${process.pid}00${run}1`;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const host = spawn(process.execPath, ['--input-type=module', '-e', HOST, tag, containment, ...SCRIPTS], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(createInterface({ input: host.stdout }), 'line');
  let pids = [];
  while (pids.filter(isSleep).length < 7) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    pids = tagged(tag);
  }
  const time = await timed(async () => {
    host.kill('SIGKILL');
    while (pids.some(isAlive)) await new Promise((resolve) => setTimeout(resolve, 1));
  });
  if (tagged(tag).length > 0) throw new Error('something survives that was started meanwhile');
  return time;
}

function tagged(tag) {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter(
      (pid) =>
        read(`/proc/${pid}/cmdline`).split('\0').includes(tag) &&
        !read(`/proc/${pid}/cmdline`).includes('--input-type'),
    );
}

function isSleep(pid) {
  return read(`/proc/${pid}/cmdline`).startsWith('sleep');
}

/** A zombie is dead. */
function isAlive(pid) {
  const line = read(`/proc/${pid}/stat`);
  return line !== '' && !/^[ZX]/.test(line.slice(line.lastIndexOf(')') + 2));
}

function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
