import { createInterface } from 'node:readline';
import { type DeadHost, reapHost } from './process/guardian/dead-hosts.js';
import { GUARDIAN_NAME } from './process/guardian/guardian-script.js';
import { removeLedger } from './process/guardian/ledger.js';
import { parseHostMark } from './process/marks/marker.js';
import { linux } from './process/platforms/linux.js';

/**
 * A child that was being forked when the host was killed gets its mark when it becomes its program. Under heavy load
 * that may be after the first sweep; so a second one follows, this many ms later.
 */
const LATE_CHILDREN = 1_000;

/**
 * Ends all that a dead host has left: `reaper.js sweep MARK START LEDGER CGROUPS…`. `watch` first waits until the host
 * is dead.
 */
const [what, text = '', start = '', ledger = '', ...folders] = process.argv.slice(2);
const mark = parseHostMark(text);
const startTime = Number(start);
if (mark === undefined || !Number.isInteger(startTime) || (what !== 'sweep' && what !== 'watch')) {
  throw new Error('usage: reaper.js sweep|watch MARK START LEDGER CGROUPS…; the guardian of mcp-server-pool calls it');
}
const cgroups = folders.filter((folder) => folder !== GUARDIAN_NAME);
const host: DeadHost = { mark, startTime, cgroups };
if (what === 'sweep') await reap();
else watch();

async function reap(): Promise<void> {
  await reapHost(host, linux, { hold: true });
  await new Promise((resolve) => setTimeout(resolve, LATE_CHILDREN));
  const { quiet, survivors } = await reapHost(host, linux, { hold: true });
  if (quiet && survivors.length === 0 && ledger !== '') removeLedger(ledger);
}

/** The guardian without a shell: reads the same lines from stdin as the shell script, and does the same. */
function watch(): void {
  // Signals meant for the host must not end the guardian before the host.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) process.on(signal, () => {});
  /** pid → start time of the leaders of the groups to be killed. */
  const leaders = new Map<number, number>();
  const handle = (line: string) => {
    const [word, pid = '', startTime] = line.split(' ');
    if (word === 'q') process.exit();
    if (word === '+') leaders.set(Number(pid), Number(startTime));
    if (word === '-') leaders.delete(Number(pid));
    if (word === 'c') cgroups.push(line.slice('c '.length));
  };
  const killGroups = () => {
    for (const [pid, startTime] of leaders) {
      const row = linux.table.read(pid);
      if (row === undefined || (row.startTime === startTime && row.group === pid)) linux.signalGroup(pid, 'SIGKILL');
    }
  };
  createInterface({ input: process.stdin })
    .on('line', handle)
    .once('close', () => {
      killGroups();
      void reap();
    });
}
