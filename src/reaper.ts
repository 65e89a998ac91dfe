import { createInterface } from 'node:readline';
import { isClean } from './process/containment/dead-hosts.js';
import { removeLedger } from './process/containment/ledger.js';
import { type HostMark, parseHostMark } from './process/containment/marker.js';
import { sweep } from './process/containment/sweep.js';
import { linux } from './process/platform.js';

/**
 * A child that was being made when the host was killed gets its mark when it becomes its program: on a machine under heavy
 * load that may be after the first sweep. So there is a second one, ms after the first.
 */
const LATE_CHILDREN = 1_000;

/** Ends all that a dead host has left: `sweep MARK START LEDGER`. `watch` waits for the host's death first. */
const [what, text = '', start = '', ledger = ''] = process.argv.slice(2);
const mark = parseHostMark(text);
const since = Number(start);
if (mark === undefined || !Number.isInteger(since) || (what !== 'sweep' && what !== 'watch')) {
  throw new Error('usage: reaper.js sweep|watch MARK START LEDGER; the guardian of mcp-server-pool calls it');
}
if (what === 'sweep') await reap(mark);
else watch(mark);

async function reap(host: HostMark): Promise<void> {
  await sweep({ host }, linux, { since, hold: true });
  await new Promise((resolve) => setTimeout(resolve, LATE_CHILDREN));
  if (isClean(await sweep({ host }, linux, { since, hold: true })) && ledger !== '') removeLedger(ledger);
}

/** Where there is no shell that could keep watch: hears what the shell would hear, and does what it does. */
function watch(host: HostMark): void {
  // What is meant for the host must not end the guardian before it.
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) process.on(signal, () => {});
  /** pid → start time of those who lead a group that is to be killed. */
  const leaders = new Map<number, number>();
  const hear = (line: string) => {
    const [word, pid, startTime] = line.split(' ');
    if (word === 'q') process.exit();
    if (word === '+') leaders.set(Number(pid), Number(startTime));
    if (word === '-') leaders.delete(Number(pid));
  };
  const killGroups = () => {
    for (const [pid, startTime] of leaders) {
      const row = linux.table.read(pid);
      if (row?.startTime === startTime && row.group === pid) linux.signalGroup(pid, 'SIGKILL');
    }
  };
  createInterface({ input: process.stdin })
    .on('line', hear)
    .once('close', () => {
      killGroups();
      void reap(host);
    });
}
