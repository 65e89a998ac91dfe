// A host as a process of its own. The first line of its stdin says what it shall run, each further one what it shall do
// then; its stdout says how far it is. Without its test it ends: by the end of stdin.
import { createInterface } from 'node:readline';

const say = (...words) => process.stdout.write(`${words.join(' ')}\n`);
const reader = createInterface({ input: process.stdin });
const lines = reader[Symbol.asyncIterator]();
const { index, options, steps, exiting, churn } = JSON.parse((await lines.next()).value);

const { MCPServerPool } = await import(index);
const pool = new MCPServerPool(options);
const leases = [];
let idle = false;
pool.on('orphan:reaped', () => say('reaped'));

/** Resolves when the servers that exit by themselves have done so, and their ends were proven. */
const exits = new Promise((resolve) => {
  const left = new Set(exiting);
  pool.on('server:stopped', ({ name }) => left.delete(name) && left.size === 0 && resolve());
  if (left.size === 0) resolve();
});

/** Starts and ends servers without a pause, several side by side. */
async function turn(names) {
  for (;;) {
    for (const name of names) {
      const lease = await pool.getServer(name).catch((error) => say('lost', name, error.code));
      lease?.release();
    }
  }
}

const actions = {
  async release() {
    await Promise.all(leases.map((lease) => lease.release() && lease.ended));
    say('done');
  },
  async shutdown() {
    say('done', (await pool.shutdown()).survivors.length);
  },
  async emergency() {
    say('done', (await pool.shutdown({ mode: 'emergency' })).survivors.length);
  },
  exit: () => process.exit(0),
  // No server holds its host open, neither idle nor leased.
  'have nothing to do': () => {
    idle = true;
    reader.close();
  },
  throw: () => {
    throw new Error('nothing catches this');
  },
  reject: () => Promise.reject(new Error('nothing catches this')),
};

say('started');
if (churn) {
  for (const names of steps) void turn(names);
} else {
  // Some end while they are waited for: that is what they are here for.
  for (const name of exiting) pool.getServer(name).catch(() => {});
  for (const names of steps) leases.push(...(await Promise.all(names.map((name) => pool.getServer(name)))));
  await exits;
}
say('ready');

for (let line = await lines.next(); !line.done; line = await lines.next()) void actions[line.value]();
// Without its test. Else it ends by itself, or whatever holds it open is a fault that the test shall see.
if (!idle) process.exit(0);
