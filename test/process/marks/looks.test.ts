import { setImmediate as turn } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Looks } from '../../../src/process/marks/looks.js';
import type { MarkReader } from '../../../src/process/marks/mark-reader.js';
import { newHostMark } from '../../../src/process/marks/marker.js';
import { ProcessGroup } from '../../../src/process/tree/process-group.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { FakeKernel } from '../../helpers/fake-kernel.js';
import { marksOf, UNMARKED } from '../../helpers/fake-marks.js';
import { FakeTable, ListingTable } from '../../helpers/fake-table.js';
import { isCollected } from '../../helpers/heap.js';

const KINDS = [
  ['a tree', ProcessTree],
  ['a group', ProcessGroup],
] as const;

function setup(Kind: typeof ProcessTree | typeof ProcessGroup) {
  const kernel = new FakeKernel();
  let scans = 0;
  const scan = kernel.scan.bind(kernel);
  kernel.scan = () => {
    scans += 1;
    return scan();
  };
  const looks = new Looks(kernel, { shared: true, newest: () => 0 });
  const host = kernel.fork(1, 'own session')!;
  const start = () => {
    const leader = kernel.fork(host.pid, 'own session')!;
    const tree =
      Kind === ProcessTree ? new ProcessTree(kernel, leader, { looks }) : new ProcessGroup(kernel, leader, looks);
    const helper = kernel.fork(leader.pid)!;
    const collect = () => {
      kernel.exit(leader.pid);
      kernel.collect(leader.pid);
    };
    return { leader, helper, tree, collect };
  };
  return { kernel, start, scans: () => scans };
}

it.each([
  ['a mark', marksOf({ host: newHostMark() })],
  ['no mark', UNMARKED],
])('[REUSE-11] a look is not kept by the processes that it has shown: with %s', async (_what, reading) => {
  const kernel = new FakeKernel();
  const looks = new Looks(kernel, { readMark: () => reading, newest: () => 0, now: () => 1_000 });
  const shown = [1, 2, 3].map(() => {
    kernel.fork(1, 'own session');
    const look = looks.take();
    look.marked(0);
    return new WeakRef(look);
  });
  await turn();
  expect(shown.map(isCollected)).toEqual([true, true, false]);
  expect(looks.last.marked(0)).toHaveLength(reading === UNMARKED ? 0 : 3);
});

it('[HANG-1] a look to measure by puts off what hangs, until it moves; the proof of an end reads it', () => {
  const mark = newHostMark();
  const setUp = () => {
    const table = new FakeTable();
    table.add({ pid: 30, state: 'D' });
    // As that of Linux.
    const readMark: MarkReader = (_pid, _isSame, mayHang) => (mayHang ? UNMARKED : marksOf({ host: mark }));
    return { table, looks: new Looks(table, { readMark, now: () => 1_000 }) };
  };
  const { table, looks } = setUp();
  expect(looks.takeLoose().marked(0)).toEqual([]);
  expect(looks.takeLoose().marked(0)).toEqual([]);
  table.change(30, { state: 'S' });
  expect(looks.takeLoose().marked(0)).toHaveLength(1);
  table.change(30, { state: 'D' });
  expect(looks.takeLoose().marked(0)).toHaveLength(1);
  expect(setUp().looks.take().marked(0)).toHaveLength(1);
});

it.each(KINDS)('[REUSE-6] [LOOK-1] exits that are reported together share one look (%s)', (_name, Kind) => {
  const { start, scans } = setup(Kind);
  const [a, b] = [start(), start()];
  a.collect();
  b.collect();
  expect(a.tree.leaderExited()).toMatchObject([{ pid: a.helper.pid }]);
  expect(b.tree.leaderExited()).toMatchObject([{ pid: b.helper.pid }]);
  expect(scans()).toBe(1);
});

it.each(KINDS)('[REUSE-6] one that ends while they are reported is looked at after its end (%s)', (_name, Kind) => {
  const { kernel, start, scans } = setup(Kind);
  const [a, b, c] = [start(), start(), start()];
  a.collect();
  a.tree.leaderExited();
  // In the handler of that exit: one ends alive, one is a zombie before.
  b.collect();
  kernel.exit(c.leader.pid);
  expect(b.tree.leaderExited()).toMatchObject([{ pid: b.helper.pid, parent: 1 }]);
  kernel.collect(c.leader.pid);
  expect(c.tree.leaderExited()).toMatchObject([{ pid: c.helper.pid }]);
  expect(scans()).toBe(3);
  // What was given again since is not ours.
  expect(a.tree.living()).toMatchObject([{ pid: a.helper.pid }]);
});

it('[REUSE-6] a number that was given again before the look is still that of another process', () => {
  const { kernel, start, scans } = setup(ProcessTree);
  const [a, b] = [start(), start()];
  a.collect();
  b.collect();
  kernel.exit(b.helper.pid);
  kernel.add({ pid: b.leader.pid, parent: 1, startTime: 99 });
  a.tree.leaderExited();
  expect(b.tree.leaderExited()).toEqual([]);
  expect(scans()).toBe(1);
});

/** A machine with a tree and a stranger in it, whose reads are counted. */
function measured() {
  const table = new ListingTable();
  table.add({ pid: 10, parent: 1, startTime: 1 });
  table.add({ pid: 20, parent: 1, startTime: 1 });
  const looks = new Looks(table, { shared: true, readMark: () => UNMARKED, now: () => 1_000 });
  const tree = new ProcessTree(table, { pid: 20, startTime: 1 }, { looks });
  const readNow = async (look: () => unknown) => {
    table.reads.length = 0;
    const scans = table.scans;
    look();
    await turn();
    return table.scans > scans ? 'all' : [...new Set(table.reads)].sort((a, b) => a - b);
  };
  return { table, looks, tree, readNow };
}

it('[LOOK-3] a look to measure reads members and what is new, not again what is in no tree', async () => {
  const { table, tree, readNow } = measured();
  expect(await readNow(() => tree.present())).toBe('all');
  table.add({ pid: 101, parent: 20, startTime: 2 });
  table.newestPid = 101;
  expect(await readNow(() => tree.present())).toEqual([20, 101]);
  expect(tree.living().map(({ pid }) => pid)).toEqual([20, 101]);
});

it('[LOOK-3] reads what has a number that was given since', async () => {
  const { table, tree, readNow } = measured();
  table.add({ pid: 150, parent: 1, startTime: 1 });
  expect(await readNow(() => tree.present())).toBe('all');
  expect(await readNow(() => tree.present())).toEqual([20]);
  table.remove(150);
  table.add({ pid: 150, parent: 20, startTime: 9 });
  table.newestPid = 160;
  expect(await readNow(() => expect(tree.present().map(({ pid }) => pid)).toEqual([20, 150]))).toEqual([20, 150]);
  // The kernel has begun anew with small numbers.
  table.newestPid = 90;
  expect(await readNow(() => tree.present())).toBe('all');
});

it('[LOOK-3] reads all when each number may have been given since: the newest one then shows nothing', async () => {
  const { table, tree, readNow } = measured();
  table.numbers = () => 32_768;
  table.started = 1_000;
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  const at = (ms: number) => clock.mockReturnValue(ms);
  at(100_000);
  expect(await readNow(() => tree.present())).toBe('all');
  at(105_000);
  table.started += 8_000;
  expect(await readNow(() => tree.present())).toEqual([20]);
  // A build has used up all numbers within a sample, so that 10 belongs to a child of the server now.
  at(110_000);
  table.started += 33_000;
  table.newestPid = 101;
  table.add({ pid: 10, parent: 20, startTime: 9 });
  expect(await readNow(() => expect(tree.present().map(({ pid }) => pid)).toEqual([20, 10]))).toBe('all');
  // Where it is not shown how many were started.
  at(115_000);
  table.started = undefined;
  expect(await readNow(() => tree.present())).toBe('all');
});

it('[LOOK-3] need not know how many were started where there are more numbers than can have been given', async () => {
  const { table, tree, readNow } = measured();
  table.numbers = () => 4_194_304;
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  clock.mockReturnValue(100_000);
  expect(await readNow(() => tree.present())).toBe('all');
  table.starts = () => expect.unreachable();
  clock.mockReturnValue(115_000);
  expect(await readNow(() => tree.present())).toEqual([20]);
});

it('[LOOK-3] is not the look by which a tree is ended in the same tick', async () => {
  const { looks, tree, readNow } = measured();
  await readNow(() => tree.present());
  const both = () => [looks.takeLoose(), looks.take(), looks.takeLoose()];
  const [loose, strict, shared] = both();
  expect(loose).not.toBe(strict);
  expect(shared).toBe(strict);
});

it.each([
  ['a dead process', { dead: true }],
  ['one without marks', {}],
])('[REUSE-6] a look right after another one reads again what got the number of %s meanwhile', (_what, before) => {
  const kernel = new ListingTable();
  kernel.newestPid = 20;
  const looks = new Looks(kernel, { readMark: () => UNMARKED, now: () => 1_000 });
  const startTimes = () => Object.fromEntries([...looks.take().rows].map(([pid, { startTime }]) => [pid, startTime]));
  for (const pid of [19, 20, 21, 25, 26, 60]) kernel.add({ pid, startTime: 1, ...before });
  looks.take().marked(0);
  expect(looks.last.isWhole).toBe(true);
  // A number that was given again by its exact turn, or set back to by root, is among those given since the last look.
  kernel.newestPid = 25;
  for (const pid of [20, 21, 25]) kernel.add({ pid, startTime: 2 });
  expect(startTimes()).toEqual({ 19: 1, 20: 2, 21: 2, 25: 2, 26: 1, 60: 1 });
  expect(looks.last.isWhole).toBe(false);
});

it('[REUSE-6] and what gets it while the look is taken', () => {
  const kernel = new ListingTable();
  kernel.newestPid = 20;
  const looks = new Looks(kernel, { now: () => 1_000 });
  for (const pid of [10, 30]) kernel.add({ pid, startTime: 1, dead: true });
  looks.take();
  const pids = kernel.pids.bind(kernel);
  const whileListing = (change: () => void) => {
    kernel.pids = () => {
      change();
      kernel.pids = pids;
      return pids();
    };
  };
  whileListing(() => {
    kernel.newestPid = 30;
    kernel.add({ pid: 30, startTime: 2 });
  });
  expect(looks.take().rows.get(30)?.startTime).toBe(2);
  // From the last number to the first ones.
  whileListing(() => {
    kernel.newestPid = 10;
    kernel.add({ pid: 10, startTime: 3 });
  });
  expect(looks.take().rows.get(10)?.startTime).toBe(3);
});
