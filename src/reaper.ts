import { createInterface } from 'node:readline';
import { type DeadHost, reapHost } from './process/guardian/dead-hosts.js';
import { GUARDIAN_NAME } from './process/guardian/guardian-script.js';
import { removeLedger } from './process/guardian/ledger.js';
import { parseHostMark } from './process/marks/marker.js';
import { linux } from './process/platforms/linux.js';

/**
 * A child that was being made when the host was killed gets its mark when it becomes its program: on a machine under heavy
 * load that may be after the first sweep. So there is a second one, ms after the first.
 */
const LATE_CHILDREN = 1_000;

/** Ends all that a dead host has left: `sweep MARK START LEDGER CGROUPS…`. `watch` waits for the host's death first. */
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

/** Where there is no shell that could keep watch: hears what the shell would hear, and does what it does. */
function watch(): void {
  // What is meant for the host must not end the guardian before it.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) process.on(signal, () => {});
  /** pid → start time of those who lead a group that is to be killed. */
  const leaders = new Map<number, number>();
  const hear = (line: string) => {
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
    .on('line', hear)
    .once('close', () => {
      killGroups();
      void reap();
    });
}
