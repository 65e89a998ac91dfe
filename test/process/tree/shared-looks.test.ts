import { expect, it } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessTable } from '../../../src/process/process-table.js';
import { launch } from '../../helpers/launch.js';
import { isLiving } from '../../helpers/processes.js';

const SERVERS = 20;
const GRACES = { eofGrace: 2_000, termGrace: 2_000 };

/** A table that counts the looks at all processes. */
function countingTable() {
  let looks = 0;
  const table: ProcessTable = {
    ...linux.table,
    scan: () => {
      looks += 1;
      return linux.table.scan();
    },
    pids: () => {
      looks += 1;
      return linux.table.pids?.() ?? [];
    },
  };
  return {
    table,
    /** How many looks `work` takes in this tick. */
    during: (work: () => void) => {
      const before = looks;
      work();
      return looks - before;
    },
    count: () => looks,
  };
}

async function started(policy: object = {}) {
  const counting = countingTable();
  const servers = Array.from({ length: SERVERS }, () =>
    launch({ command: 'cat', ...GRACES, ...policy }, { table: counting.table }),
  );
  await Promise.all(servers.map(({ spawned }) => spawned));
  return { ...counting, servers };
}

it.each(['markers', 'group'] as const)('[LOOK-1] a plan of all trees takes one look (%s)', async (containment) => {
  const { servers, during } = await started({ containment });
  const planned = during(() => {
    for (const { process: server, pid } of servers) {
      expect(server.plan?.('graceful', GRACES).processes).toMatchObject([{ pid }]);
    }
  });
  expect(planned).toBe(1);
});

it('[LOOK-1] killing all trees takes one look, and so do all exits that are reported together', async () => {
  const { servers, during, count } = await started({ containment: 'markers' });
  const killed = during(() => {
    for (const { process: server } of servers) server.killNow();
  });
  expect(killed).toBe(1);
  // In this tick, so that all are dead before the first exit is reported.
  while (servers.some(({ pid }) => isLiving(pid)));
  const before = count();
  await Promise.all(servers.map(({ exited }) => exited));
  expect(count() - before).toBe(1);
});

it('[LOOK-1] trees that end together share their looks', async () => {
  const { servers, count } = await started({ containment: 'markers' });
  const reports = await Promise.all(servers.map(({ process: server }) => server.end({ mode: 'emergency' })));
  expect(reports.map(({ survivors }) => survivors)).toEqual(servers.map(() => []));
  // Each takes four at least.
  expect(count()).toBeLessThan(2 * SERVERS);
});

it('[LOOK-1] [MARK-6] no look counts twice in the proof of one tree', async () => {
  const { servers, count } = await started({ containment: 'markers' });
  const [server] = servers;
  const before = count();
  await server?.process.end({ mode: 'emergency' });
  expect(count() - before).toBeGreaterThanOrEqual(4);
});
