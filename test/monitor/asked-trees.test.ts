import { expect, it } from 'vitest';
import { AskedTrees } from '../../src/monitor/asked-trees.js';
import type { MonitoredTree } from '../../src/monitor/monitored-tree.js';
import type { TreeUsage } from '../../src/process/usage/tree-usage.js';
import { ManualClock } from '../helpers/clock.js';
import { flush } from '../helpers/until.js';

const USAGE = { memoryMB: 1, residentMB: 1, cpuTime: 0, processes: 1, zombies: 0, threads: 1, uptime: 0 };

/** A tree that answers after `state.takes` ms. */
function asking(interval: number) {
  const clock = new ManualClock();
  const asked = new AskedTrees(clock, interval);
  const state = { takes: 0, asked: 0 };
  const usage = () => {
    state.asked += 1;
    return new Promise<TreeUsage>((resolve) => {
      clock.after(state.takes, () => resolve({ ...USAGE, at: clock.now() }));
    });
  };
  const tree: MonitoredTree = {
    ...{ id: 'a 1', name: 'a', priority: 'normal', phase: 'ready', leases: 1, idleSince: 0, limits: {} },
    ...{ expectedProcesses: 1, replacesLeaks: false, answered: undefined, usage },
    detailedUsage: () => Promise.resolve(undefined),
  };
  /** For how long a sample waits for it, ms, and whether it gets an answer. */
  const ask = async (): Promise<[waited: number, isKnown: boolean]> => {
    const start = clock.now();
    let result: [number, boolean] | undefined;
    asked.keep([tree]);
    asked.ask(tree).then(
      () => (result = [clock.now() - start, true]),
      () => (result = [clock.now() - start, false]),
    );
    for (await flush(); result === undefined; ) await clock.advanceAndFlush(100);
    return result;
  };
  return { clock, asked, state, ask, pass: (ms: number) => clock.advanceAndFlush(ms) };
}

it('[LOOP-9] one that is late each time is waited for 10 s once, then for one interval, until it is in time again', async () => {
  const { state, ask, pass } = asking(1_000);
  state.takes = 9_000;
  expect(await ask()).toEqual([9_000, true]);
  state.takes = 12_000;
  expect(await ask()).toEqual([10_000, false]);
  // It is still asked.
  expect(await ask()).toEqual([0, false]);
  expect(state.asked).toBe(2);
  for (let round = 0; round < 3; round += 1) {
    await pass(20_000);
    expect(await ask()).toEqual([1_000, false]);
  }
  // In time, but for the shorter wait: from then on it has all of it.
  state.takes = 9_000;
  await pass(20_000);
  expect(await ask()).toEqual([1_000, false]);
  await pass(20_000);
  expect(await ask()).toEqual([9_000, true]);
});

it('[LOOP-9] one with the id of a tree that is gone is waited for as any other', async () => {
  const { asked, state, ask, pass } = asking(1_000);
  state.takes = 12_000;
  expect(await ask()).toEqual([10_000, false]);
  asked.keep([]);
  expect(await ask()).toEqual([10_000, false]);
  // The answer of the first one says nothing of it.
  await pass(500);
  expect(await ask()).toEqual([0, false]);
});
