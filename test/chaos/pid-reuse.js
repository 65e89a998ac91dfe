// Starts and ends of servers while numbers of processes are reused at once: in a pid namespace, each fault sets
// /proc/sys/kernel/ns_last_pid back, so that the number of a dead process belongs to another one within milliseconds.
// Strangers are started all the time by two shells, which write a line for each one that a signal has ended.
//
// usage, as root, SRC being the compiled src/ (test/helpers/compiled.ts):
//   unshare --pid --fork --kill-child --mount-proc sh -c 'node test/chaos/pid-reuse.js SRC 50000 1500 SEED; :'
// AT_ONCE: how many servers at once (4). It prints the strangers that a signal has ended (`signalled`), and each signal to the
// number of a stranger, or to a cgroup with one in it, with what was read of that number before (`accused`); and the processes of
// servers that live at the end (`left`): some servers start helpers that would live for minutes.
import { spawn } from 'node:child_process';
import fs, { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

const [SRC, faults, seconds, seed] = process.argv.slice(2);

/** Which code has signalled a stranger: recorded at the signal, since the number may be free a moment later. */
const accused = [];
const STRANGER = 'PID_REUSE_STRANGER=1';
const history = new Map();
const note = (pid, text) => {
  const lines = history.get(pid) ?? [];
  lines.push(`${performance.now().toFixed(1)} ${text}`);
  history.set(pid, lines.slice(-12));
};
function textOf(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
const isStranger = (pid) => textOf(`/proc/${pid}/environ`).includes(STRANGER);
function accuse(how, pid) {
  const { stack } = new Error(how);
  accused.push({
    how,
    pid,
    at: performance.now().toFixed(1),
    stat: textOf(`/proc/${pid}/stat`).split(' ').slice(0, 22).join(' '),
    history: history.get(pid),
    stack: stack.split('\n').slice(2, 8),
  });
}
const { kill } = process;
process.kill = (target, signal) => {
  const pid = Math.abs(target);
  note(pid, `kill ${target} ${signal}`);
  if (signal !== 0 && isStranger(pid)) accuse(`kill(${target}, ${signal})`, pid);
  return kill.call(process, target, signal);
};
const write = fs.writeFileSync;
fs.writeFileSync = (path, ...rest) => {
  if (String(path).endsWith('cgroup.kill')) {
    const inside = textOf(`${dirname(path)}/cgroup.procs`)
      .split('\n')
      .filter(Boolean);
    for (const pid of inside) if (isStranger(pid)) accuse('cgroup.kill', Number(pid));
  }
  return write(path, ...rest);
};
syncBuiltinESMExports();
const { localLauncher } = await import(`${SRC}/process/start/local-launcher.js`);
const { linux } = await import(`${SRC}/process/platforms/linux.js`);
const { read } = linux.table;
linux.table.read = (pid) => {
  const row = read(pid);
  note(
    pid,
    row
      ? `read ${row.parent} ${row.group} ${row.session} ${row.startTime} ${row.dead ? 'dead ' : ''}${row.command}`
      : 'read: gone',
  );
  return row;
};
linux.table.scan = () => {
  const rows = new Map();
  for (const pid of linux.table.pids()) {
    const row = linux.table.read(pid);
    if (row) rows.set(pid, row);
  }
  return rows;
};
const { resolvePoolOptions } = await import(`${SRC}/config/resolve-options.js`);

const { withEnvironment } = await import(`${SRC}/config/environment.js`);

const LAST = '/proc/sys/kernel/ns_last_pid';
/** Numbers from here on are reused, of strangers and servers alike. */
const FROM = 200;
const AT_ONCE = Number(process.env.AT_ONCE ?? 4);
/** Each stranger leads a session of its own, so that its number is that of a group, too. */
const STRANGERS = `n=0
one() { setsid sleep "$1" & }
while read -r line; do
  one 0.02; a=$!; one 0.03; b=$!; one 0.05; c=$!
  for pid in $a $b $c; do
    n=$((n + 1)); wait $pid; code=$?
    [ $code = 0 ] || echo "signalled $code"
  done
  echo "done $n"
done`;

/** mulberry32, as in test/chaos/random.ts. */
let state = Number(seed) >>> 0;
function chance() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
}

/** Each is a way in which a server and its helpers end by themselves, or are ended. */
const SERVERS = [
  'exit 0',
  'exec cat',
  'sleep 0.03 & exec cat',
  'setsid sleep 0.03 & sleep 0.02 & wait; exit 1',
  '(setsid sleep 0.04 &); exec cat',
  'trap "" TERM; setsid sleep 0.1 & sleep 0.1; exec cat',
  'setsid sleep 600 & exec cat',
  '(setsid sh -c "sleep 600 & exec sleep 600" &); exec cat',
];
const ENDS = ['emergency', 'graceful', 'killed', 'itself'];

const pick = (list) => list[Math.floor(chance() * list.length)];
const definitions = SERVERS.map((script) => {
  const options = { command: 'sh', args: ['-c', script], containment: 'auto', eofGrace: 10, termGrace: 20 };
  const definition = resolvePoolOptions({ servers: { one: options } }).servers.get('one');
  return withEnvironment(definition);
});
const launcher = localLauncher(linux);

function rewind() {
  write(LAST, String(FROM + Math.floor(chance() * 20)));
}

async function fault() {
  rewind();
  let exited;
  const exit = new Promise((resolve) => {
    exited = resolve;
  });
  const handlers = {
    onSpawn() {},
    onSpawnError: () => exited(),
    // As a pool does for a server that no caller has ended.
    onExit: () => {
      server.killNow();
      exited();
    },
    onStderrLine() {},
    wantsStderr: () => false,
  };
  let server;
  try {
    server = launcher.launch(pick(definitions), handlers);
  } catch (error) {
    // It ended before it could be read: nothing is left of it.
    if (error.code !== 'SPAWN_FAILED') throw error;
    return 0;
  }
  server.stdout.resume();
  await pause(chance() * 30);
  rewind();
  const end = pick(ENDS);
  if (end === 'killed') server.killNow();
  if (end === 'itself') await Promise.race([exit, pause(100)]);
  rewind();
  const report = await server.end({ mode: end === 'graceful' ? 'graceful' : 'emergency' });
  return report.survivors.length;
}

const signalled = [];
let strangers = 0;
const makers = [1, 2].map(() => {
  const maker = spawn('sh', ['-c', STRANGERS], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PID_REUSE_STRANGER: '1' },
  });
  let own = 0;
  createInterface({ input: maker.stdout }).on('line', (line) => {
    const [word, number] = line.split(' ');
    if (word === 'signalled') return void signalled.push(number);
    strangers += Number(number) - own;
    own = Number(number);
    maker.stdin.write('\n');
  });
  maker.stdin.write('\n');
  return maker;
});

const end = performance.now() + Number(seconds) * 1_000;
let done = 0;
let survivors = 0;
const errors = new Set();
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    while (done < Number(faults) && performance.now() < end) {
      done += 1;
      survivors += await fault().catch((error) => {
        errors.add(String(error.stack ?? error));
        return 0;
      });
    }
  }),
);
for (const maker of makers) maker.stdin.end();
const left = linux.table
  .pids()
  .filter((pid) => textOf(`/proc/${pid}/environ`).includes('MCP_SERVER_POOL_MARK='))
  .map((pid) => textOf(`/proc/${pid}/stat`).split(' ').slice(0, 22).join(' '));
const result = { faults: done, strangers, signalled, accused, survivors, left, errors: [...errors] };
process.stdout.write(`${JSON.stringify(result, undefined, 1)}\n`);
setTimeout(() => process.exit(), 200);
