import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { MarkReading } from '../../../src/process/marks/evidence.js';
import { looksAt } from '../../../src/process/marks/looks.js';
import type { MarkReader } from '../../../src/process/marks/mark-reader.js';
import { hostMark, hostOrigin, newHostMark } from '../../../src/process/marks/marker.js';
import { countUnclaimed } from '../../../src/process/marks/unclaimed.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { marksOf, UNMARKED } from '../../helpers/fake-marks.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { runHost } from '../../helpers/host.js';
import { MARKER } from '../../helpers/processes.js';

/** Younger than this host, as its servers are. */
const SINCE = (hostOrigin()?.startTime ?? 0) + 1;
const ofInstance = (instance: number) => marksOf({ host: hostMark(), instance });

function setUp() {
  const table = new FakeTable();
  const marks = new Map<number, MarkReading>();
  const reads: string[] = [];
  const read: MarkReader = (pid, _isSame, mayHang) => {
    reads.push(mayHang ? `${pid} without environment` : `${pid}`);
    const reading = marks.get(pid) ?? UNMARKED;
    return mayHang ? { ...reading, marks: undefined } : reading;
  };
  const leaders: ProcessRow[] = [];
  const add = (pid: number, reading: MarkReading, row: Partial<ProcessRow> = {}) => {
    marks.set(pid, reading);
    return table.add({ pid, startTime: SINCE, ...row });
  };
  return { table, read, reads, leaders, add, count: () => countUnclaimed(table, read, () => leaders) };
}

it('[UNCLAIMED-1] processes with a mark of this host that no server has are counted; those of other hosts are not', () => {
  const { table, read, add, count } = setUp();
  looksAt(table, read).watch(add(30, ofInstance(1)));
  add(31, ofInstance(2));
  add(32, ofInstance(2), { dead: true });
  add(33, marksOf({ host: newHostMark() }));
  add(34, UNMARKED);
  expect(count()).toBe(1);
});

it('[UNCLAIMED-1] the servers of another copy of the package are its own: leader, group, and what has left that', () => {
  const { leaders, add, count } = setUp();
  leaders.push(add(40, ofInstance(7)));
  add(41, ofInstance(7), { parent: 40, group: 40, session: 40 });
  add(42, ofInstance(7));
  // It hides its marks; what it starts has them.
  leaders.push(add(50, UNMARKED));
  add(51, ofInstance(8), { group: 50 });
  add(52, ofInstance(8), { session: 50 });
  expect(count()).toBe(0);
  // That server is gone, and another process has its number.
  leaders[0] = { ...(leaders[0] as ProcessRow), startTime: SINCE - 1 };
  expect(count()).toBe(3);
});

it('[UNCLAIMED-1] [HANG-1] what is older than this host is not read, and what could stop it only when it moves', async () => {
  const { table, reads, add, count } = setUp();
  add(60, ofInstance(1), { startTime: SINCE - 2 });
  add(61, ofInstance(1), { state: 'D' });
  expect(count()).toBe(0);
  expect(reads).toEqual(['61 without environment']);
  await turn();
  table.change(61, { state: 'S' });
  expect(count()).toBe(1);
  expect(reads.slice(1)).toEqual(['61']);
});

it('[UNCLAIMED-1] no server of another copy of the package is unexpected, nor what has left it', async () => {
  const { stdout, stderr } = await runHost(`
    import { cpSync, rmSync } from 'node:fs';
    const COPY = SRC.replace('/src-', '/copy-') + '-' + process.pid;
    cpSync(SRC, COPY, { recursive: true });
    const copies = await Promise.all([SRC, COPY].map((folder) => import(folder + '/index.js')));
    const env = { ${MARKER}: process.env.${MARKER} };
    const args = ['-c', '(setsid sleep 50 &); exec cat'];
    const pools = copies.map(({ MCPServerPool }) => new MCPServerPool({ command: 'sh', args, env, sharing: 'dedicated', expectedProcesses: 2 }));
    try {
      await Promise.all(pools.map((pool) => pool.getServer()));
      const samples = () => Promise.all(pools.map(({ monitor }) => monitor.sample()));
      let all;
      const end = Date.now() + 20_000;
      do all = await samples();
      while (Date.now() < end && all.some(({ trees: [tree] }) => tree?.processes !== 2));
      console.log(JSON.stringify(all.map(({ totals: { processes, unexpected } }) => [processes, unexpected])));
    } finally {
      await Promise.all(pools.map((pool) => pool.shutdown()));
      rmSync(COPY, { recursive: true });
    }`);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual([
    [2, 0],
    [2, 0],
  ]);
});
