import { expect, it } from 'vitest';
import { DetailReader } from '../../../src/process/usage/detail-reader.js';
import { deferred } from '../../../src/runtime/deferred.js';
import { ManualClock } from '../../helpers/clock.js';
import { FakeTable } from '../../helpers/fake-table.js';

const ROLLUP = 'Rss: 9 kB\nPss:                 2 kB\n';
const ONE = { pid: 7, startTime: 70 };

/** A reader of process 7, whose set sizes the test may hold back. */
function setup() {
  const [table, clock] = [new FakeTable(), new ManualClock()];
  table.add(ONE);
  const state = { rollup: () => Promise.resolve(ROLLUP), reads: 0 };
  const reader = new DetailReader(table, {
    clock,
    descriptors: () => Promise.resolve(['0', '1', '2']),
    rollup: () => {
      state.reads += 1;
      return state.rollup();
    },
  });
  return { table, clock, state, reader };
}

it('[HANG-1] nothing is read of a process that is uninterruptible, and it counts as hidden', async () => {
  const { table, state, reader } = setup();
  table.change(7, { state: 'D' });
  expect(await reader.read(ONE)).toEqual({ descriptors: undefined, pss: undefined });
  expect(state.reads).toBe(0);
  table.change(7, { state: 'S' });
  expect(await reader.read(ONE)).toEqual({ descriptors: 3, pss: 2_048 });
});

it('[USAGE-19] of a process whose main thread has ended nothing is shown, and it counts as hidden', async () => {
  const { table, state, reader } = setup();
  table.change(7, { state: 'Z' });
  expect(await reader.read(ONE)).toEqual({ descriptors: undefined, pss: undefined });
  expect(state.reads).toBe(0);
});

it('[HANG-1] one that hangs in the kernel meanwhile has one reader, which is waited for 10 s, until it answers', async () => {
  const { clock, state, reader } = setup();
  const answer = deferred<string>();
  state.rollup = () => answer.promise;
  const calls = [reader.read(ONE), reader.read(ONE)];
  await clock.advanceAndFlush(10_000);
  expect(await Promise.all([...calls, reader.read(ONE)])).toEqual(Array(3).fill({ descriptors: 3, pss: undefined }));
  expect([state.reads, clock.pending]).toEqual([1, 0]);
  answer.resolve(ROLLUP);
  await clock.advanceAndFlush(0);
  expect(await reader.read(ONE)).toEqual({ descriptors: 3, pss: 2_048 });
  expect(state.reads).toBe(2);
});

it('[USAGE-9] what another process has that got the number, before or meanwhile, does not count', async () => {
  const { table, state, reader } = setup();
  expect(await reader.read({ pid: 7, startTime: 60 })).toBeUndefined();
  expect(state.reads).toBe(0);
  state.rollup = async () => {
    table.add({ pid: 7, startTime: 80 });
    return ROLLUP;
  };
  expect(await reader.read(ONE)).toBeUndefined();
  expect(await reader.read({ pid: 9, startTime: 1 })).toBeUndefined();
});

it('[USAGE-9] a process that ends meanwhile is gone; what this user may not read is hidden; other errors are told', async () => {
  const { state, reader } = setup();
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
  state.rollup = failing('ESRCH');
  expect(await reader.read(ONE)).toBeUndefined();
  state.rollup = failing('EACCES');
  expect(await reader.read(ONE)).toEqual({ descriptors: 3, pss: undefined });
  state.rollup = failing('EMFILE');
  await expect(reader.read(ONE)).rejects.toThrow('EMFILE');
});
