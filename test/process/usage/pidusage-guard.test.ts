import { describe, expect, it } from 'vitest';
import { type PidUsage, PidusageGuard } from '../../../src/process/usage/pidusage-guard.js';
import { deferred } from '../../../src/runtime/deferred.js';
import { ManualClock } from '../../helpers/clock.js';
import { flush, outcome, rejection } from '../../helpers/until.js';

type Found = Awaited<ReturnType<PidUsage>>;

/** A pidusage whose calls the test answers. */
function setup() {
  const calls: { readonly pids: number[]; answer(found: Found): void; fail(error: unknown): void }[] = [];
  const clock = new ManualClock();
  let running = 0;
  let most = 0;
  const pidusage: PidUsage = (pids) => {
    const { promise, resolve, reject } = deferred<Found>();
    running += 1;
    most = Math.max(most, running);
    const copy = [...pids];
    // As the real one, which parses them in place.
    pids.fill(Number.NaN);
    calls.push({ pids: copy, answer: resolve, fail: reject });
    return promise.finally(() => {
      running -= 1;
    });
  };
  const guard = new PidusageGuard(async () => pidusage, clock);
  return { guard, calls, clock, most: () => most };
}

const of = (...pids: number[]): Found =>
  Object.fromEntries(pids.map((pid) => [pid, { memory: pid, ctime: 10, elapsed: 20 }]));
const call = <T>(calls: readonly T[], index: number) => calls[index] as T;

describe('PidusageGuard', () => {
  it('[USAGE-12] makes one call for all that is asked in a tick, and one at a time', async () => {
    const { guard, calls, most } = setup();
    const first = [guard.read([1, 2]), guard.read([2, 3])];
    await flush();
    const second = [guard.read([4]), guard.read([5])];
    await flush();
    expect(calls.map(({ pids }) => pids)).toEqual([[1, 2, 3]]);
    call(calls, 0).answer(of(1, 2, 3));
    expect([...((await first[1])?.keys() ?? [])]).toEqual([1, 2, 3]);
    await flush();
    expect(calls.map(({ pids }) => pids)).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
    call(calls, 1).answer(of(4, 5));
    await Promise.all(second);
    expect(most()).toBe(1);
  });

  it('[USAGE-12] leaves the array of its caller as it is, and makes no call without a pid', async () => {
    const { guard, calls } = setup();
    const pids = [1, 2];
    const answer = guard.read(pids);
    expect(await guard.read([])).toEqual(new Map());
    await flush();
    call(calls, 0).answer(of(1));
    await answer;
    expect(pids).toEqual([1, 2]);
    expect(calls).toHaveLength(1);
  });

  it('[USAGE-12] leaves out what is gone, however it is said', async () => {
    const { guard, calls } = setup();
    const some = guard.read([1, 2, 3, 4]);
    await flush();
    call(calls, 0).answer({ ...of(1), 2: undefined, 3: { memory: Number.NaN, ctime: Number.NaN, elapsed: 20 } });
    expect([...(await some).keys()]).toEqual([1]);
    const none = guard.read([9]);
    await flush();
    call(calls, 1).fail(Object.assign(new Error('No matching pid found'), { code: 'ENOENT' }));
    expect((await none).size).toBe(0);
  });

  it('[USAGE-12] passes on why a call failed, and makes the next one', async () => {
    const { guard, calls } = setup();
    const failed = rejection(guard.read([1]));
    await flush();
    call(calls, 0).fail(new Error('spawn ps ENOENT'));
    expect(String(await failed)).toContain('spawn ps ENOENT');
    const next = guard.read([1]);
    await flush();
    call(calls, 1).answer(of(1));
    expect((await next).get(1)).toEqual({ memory: 1, ctime: 10, elapsed: 20 });
  });

  it('[USAGE-12] refuses all while a call hangs, and measures again when it has ended', async () => {
    const { guard, calls, clock } = setup();
    const hanging = rejection(guard.read([1]));
    await flush();
    const waiting = rejection(guard.read([2]));
    clock.advance(10_000);
    expect(await hanging).toMatchObject({ code: 'ETIMEDOUT', message: 'pidusage has not answered for 10 s' });
    expect(await waiting).toMatchObject({ code: 'ETIMEDOUT' });
    expect(await rejection(guard.read([3]))).toMatchObject({ code: 'ETIMEDOUT' });
    expect(calls).toHaveLength(1);
    call(calls, 0).answer(of(1));
    await flush();
    const again = guard.read([4]);
    await flush();
    call(calls, 1).answer(of(4));
    expect((await again).size).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('[USAGE-12] holds no timer when all is answered', async () => {
    const { guard, calls, clock } = setup();
    const answer = guard.read([1]);
    await flush();
    expect([clock.pending, clock.holding]).toEqual([1, 0]);
    expect(await outcome(answer)).toBe('pending');
    call(calls, 0).answer(of(1));
    await answer;
    await flush();
    expect(clock.pending).toBe(0);
  });
});
