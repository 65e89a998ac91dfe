import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MemoryFiles, pageSizeIn } from '../../../src/process/usage/memory-files.js';
import { Swap } from '../../../src/process/usage/swap.js';
import { FakeRoot } from '../../helpers/fake-root.js';

const PAGE = pageSizeIn(readFileSync('/proc/self/auxv'));
const MB = 1_048_576;
const LEADER = { pid: 7, startTime: 1 };

/** Process 7 with memory that the test sets, MB, and a machine with 1,000 MB of swap. */
function setup() {
  const root = new FakeRoot();
  const time = { now: 0 };
  const swap = new Swap(root.path, () => time.now);
  let readings = 0;
  const readOf = swap.of.bind(swap);
  swap.of = (pid) => {
    readings += 1;
    return readOf(pid);
  };
  const files = new MemoryFiles(root.path, swap, () => time.now);
  onTestFinished(() => files.close());
  const machine = (used: number) => {
    root.write({ 'proc/meminfo': `MemTotal: 9 kB\nSwapTotal: 1024000 kB\nSwapFree: ${(1_000 - used) * 1_024} kB\n` });
  };
  const set = (resident: number, shared: number, swapped: number) => {
    const pages = (megabytes: number) => Math.round((megabytes * MB) / PAGE);
    root.write({
      'proc/7/statm': `999999 ${pages(resident)} ${pages(shared)} 1 0 9 0\n`,
      'proc/7/status': `Name:\tnode\nVmRSS:\t    1 kB\nVmSwap:\t   ${swapped * 1_024} kB\n`,
    });
  };
  const unique = () => Math.round((files.read(LEADER)?.unique ?? Number.NaN) / MB);
  return { time, root, machine, set, unique, readings: () => readings };
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
    set(500, 20, 0);
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) unique();
    expect(readings()).toBe(0);
    machine(10);
    // Twice a minute, while resident memory only grows.
    for (let sample = 0; sample < 12; sample++, time.now += 5_000) {
      set(500 + sample, 20, 0);
      unique();
    }
    expect(readings()).toBe(2);
    machine(0);
    set(400, 20, 77);
    time.now += 30_000;
    expect(unique()).toBe(380);
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
});
