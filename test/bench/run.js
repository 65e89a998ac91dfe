// Runs the benchmarks, each in a process of its own, and ends with a table. `node test/bench/run.js [names…]`
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { table } from './harness.js';

const BENCHMARKS = [
  'warm',
  'contended',
  'messages',
  'requests',
  'large-lines',
  'cold',
  'ending',
  'sweep',
  'looks',
  'usage',
  'monitor-idle',
  'monitoring',
  'scrape',
  'health',
  'health-idle',
  'guardian',
  'lanes',
  'sequence',
  'wave',
  'packages',
  'sharing',
  'session-memory',
  'crash-recovery',
  'sessions',
];
const LONGEST = 120_000;

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !BENCHMARKS.includes(name));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(', ')}; there are ${BENCHMARKS.join(', ')}`);
  process.exit(2);
}

const rows = [];
for (const name of asked.length > 0 ? asked : BENCHMARKS) rows.push(...(await run(name)));
const missed = rows.filter(({ pass }) => !pass).length;
console.log(`\n${table(rows)}\n\n${missed === 0 ? 'all targets met' : `${missed} of ${rows.length} targets missed`}`);
process.exitCode = missed === 0 ? 0 : 1;

/** @returns {Promise<import('./harness.js').Row[]>} one row that fails when the benchmark did not come to its end */
async function run(name) {
  const child = fork(fileURLToPath(new URL(`${name}.js`, import.meta.url)), { execArgv: ['--expose-gc'] });
  // What it has started ends with its stdin, or after a minute.
  const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST);
  let result;
  child.on('message', (message) => {
    result = message;
  });
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  if (result !== undefined) return result;
  const why = signal === 'SIGKILL' ? `not done after ${LONGEST / 1000} s` : `ended with ${code ?? signal}`;
  return [{ what: name, peer: '', value: why, target: '', pass: false, spread: '', note: '' }];
}
