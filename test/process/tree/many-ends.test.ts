import { expect, it } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessTable } from '../../../src/process/process-table.js';
import { launch } from '../../helpers/launch.js';
import { isLiving } from '../../helpers/processes.js';

const SERVERS = 100;
const GRACES = { eofGrace: 100, termGrace: 100 };
const DEAF = 'trap "" TERM; while :; do sleep 1; done';

/** A table that counts the looks at all processes: in all, and the most in one turn of the event loop. */
function countingTable() {
  const count = { looks: 0, most: 0 };
  let inTurn = 0;
  const look = () => {
    if (inTurn === 0)
      setImmediate(() => {
        inTurn = 0;
      });
    inTurn += 1;
    count.looks += 1;
    count.most = Math.max(count.most, inTurn);
  };
  const table: ProcessTable = {
    ...linux.table,
    scan: () => {
      look();
      return linux.table.scan();
    },
    pids: () => {
      look();
      return linux.table.pids?.() ?? [];
    },
  };
  return { table, count };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Blocks this host until all are dead, so that their exits are reported in one turn. */
function waitForAll(pids: readonly number[]): void {
  const end = performance.now() + 60_000;
  while (pids.some(isLiving) && performance.now() < end);
}

it.each([
  ['cooperative', 'graceful', 'exec cat', 'with all exits at once'],
  ['deaf', 'graceful', DEAF, 'with each exit as it comes'],
  ['deaf', 'emergency', DEAF, 'with all exits at once'],
] as const)('[LOOK-1] 100 %s servers that end together (%s) share their looks', async (_kind, mode, script, exits) => {
  const { table, count } = countingTable();
  const definition = { command: 'sh', args: ['-c', script], containment: 'markers' } as const;
  const servers = Array.from({ length: SERVERS }, () => launch(definition, { table }));
  await Promise.all(servers.map(({ spawned }) => spawned));
  const graces = exits === 'with all exits at once' ? { eofGrace: 60_000, termGrace: 60_000 } : GRACES;
  Object.assign(count, { looks: 0, most: 0 });
  const ends = servers.map(({ process: server }) => server.end({ mode, graces }));
  if (exits === 'with all exits at once') {
    // The pipes are closed in the next turns.
    for (let turns = 0; turns < 5; turns++) await turn();
    waitForAll(servers.map(({ pid }) => pid as number));
  }
  const reports = await Promise.all(ends);
  expect(reports.flatMap(({ survivors }) => survivors)).toEqual([]);
  expect(servers.filter(({ pid }) => isLiving(pid))).toEqual([]);
  // So the host is blocked no longer than by four scans at once.
  expect(count.most).toBeLessThanOrEqual(4);
  if (exits === 'with all exits at once') expect(count.looks).toBeLessThanOrEqual(20);
});
