import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MemoryFiles, pageSizeIn } from '../../../src/process/usage/memory-files.js';
import { KnownFigures, readStatus } from '../../../src/process/usage/status-figures.js';
import { Swap } from '../../../src/process/usage/swap.js';
import { FakeRoot } from '../../helpers/fake-root.js';

const PAGE = pageSizeIn(readFileSync('/proc/self/auxv'));
const MB = 1_048_576;
const LEADER = { pid: 7, startTime: 1 };
const NO_MEMORY = '0 0 0 0 0 0 0\n';

/** Process 7 with memory that the test sets, MB, and a machine with 1,000 MB of swap. */
function setup() {
  const root = new FakeRoot();
  const time = { now: 0 };
  const swap = new Swap(root.path, () => time.now);
  let readings = 0;
  const read = (folder: string) => {
    readings += 1;
    return readStatus(folder);
  };
  const files = new MemoryFiles(
    root.path,
    () => new KnownFigures(swap, read),
    () => time.now,
  );
  onTestFinished(() => files.close());
  const machine = (used: number) => {
    root.write({ 'proc/meminfo': `MemTotal: 9 kB\nSwapTotal: 1024000 kB\nSwapFree: ${(1_000 - used) * 1_024} kB\n` });
  };
  const setIn = (folder: string, resident: number, shared: number, swapped: number, sharedMemory = 0) => {
    const pages = (megabytes: number) => Math.round((megabytes * MB) / PAGE);
    const status = `Name:\tnode\nVmRSS:\t    1 kB\nRssShmem:\t   ${sharedMemory * 1_024} kB\nVmSwap:\t   ${swapped * 1_024} kB\n`;
    root.write({
      [`${folder}/statm`]: `999999 ${pages(resident)} ${pages(shared)} 1 0 9 0\n`,
      [`${folder}/status`]: status,
    });
  };
  const set = (resident: number, shared: number, swapped: number, sharedMemory = 0) =>
    setIn('proc/7', resident, shared, swapped, sharedMemory);
  const memory = () => {
    const { resident, unique, sharedMemory } = files.read(LEADER) ?? {};
    return [resident, unique, sharedMemory].map((bytes = Number.NaN) => Math.round(bytes / MB));
  };
  const unique = () => memory()[1];
  return { time, root, machine, set, setIn, memory, unique, files, readings: () => readings };
}

describe('MemoryFiles', () => {
  it('[USAGE-15] counts what was swapped out: a leak that is swapped out is no memory that was given back', () => {
    const { time, machine, set, unique } = setup();
    machine(400);
    set(500, 20, 0);
    expect(unique()).toBe(480);
    // Within a sample most of it is swapped out.
    time.now += 5_000;
    set(100, 20, 400);
    expect(unique()).toBe(480);
    time.now += 5_000;
    set(120, 20, 430);
    expect(unique()).toBe(530);
  });

  it('[USAGE-15] counts nothing twice when it comes back', () => {
    const { time, machine, set, unique } = setup();
    machine(400);
    set(100, 20, 400);
    expect(unique()).toBe(480);
    time.now += 5_000;
    set(500, 20, 0);
    expect(unique()).toBe(480);
  });

  it('[USAGE-15] reads what is swapped out only where the machine swaps, and only when it may have changed', () => {
    const { time, machine, set, unique, readings } = setup();
    machine(0);
    set(500, 2, 0);
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) unique();
    expect(readings()).toBe(0);
    machine(10);
    // Twice a minute, while resident memory only grows.
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) {
      set(500 + sample, 2, 0);
      unique();
    }
    expect(readings()).toBe(2);
    machine(0);
    set(400, 2, 77);
    time.now += 30_000;
    expect(unique()).toBe(398);
  });

  it('[USAGE-15] without such figures nothing is added', () => {
    const { root, machine, set, unique } = setup();
    set(500, 20, 99);
    expect(unique()).toBe(480);
    const other = setup();
    other.machine(5);
    other.set(500, 20, 99);
    other.root.remove('proc/7/status');
    expect(other.unique()).toBe(480);
    root.remove('proc/7');
    machine(5);
  });

  it('[USAGE-18] tells shared memory from copies of files, and sees it grow and shrink', () => {
    const { time, set, memory } = setup();
    set(250, 205, 0, 200);
    expect(memory()).toEqual([250, 45, 200]);
    time.now += 5_000;
    set(350, 305, 0, 300);
    expect(memory()).toEqual([350, 45, 300]);
    time.now += 5_000;
    set(50, 5, 0, 0);
    expect(memory()).toEqual([50, 45, 0]);
    time.now += 5_000;
    set(47, 2, 0, 0);
    expect(memory()).toEqual([47, 45, 0]);
  });

  it('[USAGE-18] asks for it only where much is shared, when that has changed notably, and twice a minute', () => {
    const { time, set, memory, readings } = setup();
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) {
      set(50 + sample, 3, 0, 2);
      expect(memory()[2]).toBe(0);
    }
    expect(readings()).toBe(0);
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) {
      set(100 + sample, 60, 0, 20);
      memory();
    }
    expect(readings()).toBe(2);
    // Copies of files have gone, and as much shared memory has come.
    set(100, 60, 0, 55);
    time.now += 30_000;
    expect(memory()[2]).toBe(55);
  });

  it('[USAGE-18] never takes more for shared memory than what is shared now', () => {
    const { set, memory, root } = setup();
    set(250, 200, 0, 200);
    memory();
    set(149, 99, 0, 200);
    expect(memory()).toEqual([149, 50, 99]);
    root.remove('proc/7/status');
    set(349, 299, 0, 0);
    root.remove('proc/7/status');
    expect(memory()).toEqual([349, 50, 0]);
  });

  it('[USAGE-19] asks another thread when the main thread has ended, and the next one when that ends', () => {
    const { root, machine, setIn, memory } = setup();
    machine(10);
    root.write({ 'proc/7/statm': NO_MEMORY, 'proc/7/task/7/statm': NO_MEMORY, 'proc/7/task/8/statm': NO_MEMORY });
    setIn('proc/7/task/9', 250, 205, 10, 200);
    setIn('proc/7/task/10', 260, 215, 10, 210);
    const expected = [
      [260, 55, 210],
      [250, 55, 200],
    ];
    const first = memory();
    expect(expected).toContainEqual(first);
    const used = first[0] === 260 ? 'proc/7/task/10' : 'proc/7/task/9';
    root.write({ [`${used}/statm`]: NO_MEMORY });
    expect(memory()).toEqual(expected.find(([resident]) => resident !== first[0]));
    // In the fake folder a file that is kept open can still be read.
    root.write({ 'proc/7/task/9/statm': NO_MEMORY, 'proc/7/task/10/statm': NO_MEMORY });
    root.remove('proc/7/task/9', 'proc/7/task/10');
    expect(memory()).toEqual([0, 0, 0]);
  });

  it('[USAGE-19] a process that ends in this moment has no memory, and one that is gone is left out', () => {
    const { root, files, memory } = setup();
    root.write({ 'proc/7/statm': NO_MEMORY, 'proc/7/task/7/statm': NO_MEMORY });
    expect(memory()).toEqual([0, 0, 0]);
    root.remove('proc/7/task');
    expect(files.read(LEADER)).toBeUndefined();
    expect(files.size).toBe(0);
  });
});
