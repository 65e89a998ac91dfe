import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { ResolvedRequirements } from '../../../src/config/requirement-options.js';
import type { UnmetRequirement } from '../../../src/index.js';
import { systemClock } from '../../../src/runtime/clock.js';
import { awaitRequirements } from '../../../src/sequence/preflight/await-requirements.js';
import { HostHeadroom } from '../../../src/sequence/preflight/host-headroom.js';
import type { Headroom } from '../../../src/sequence/preflight/unmet.js';
import { ManualClock } from '../../helpers/clock.js';
import { flush, outcome, rejection } from '../../helpers/until.js';

const NOTHING = { freeMemoryMB: undefined, maxLoad: undefined, freeProcesses: undefined, freeDiskMB: {} };
const about = { name: 'pytest', kind: 'command' } as const;

/** A wait for a host whose figures the test sets. */
function setUp(requires: Partial<ResolvedRequirements> = { freeMemoryMB: 100 }, onUnmet: 'wait' | 'fail' = 'wait') {
  const clock = new ManualClock();
  const abort = new AbortController();
  const host = {
    headroom: { freeMemoryMB: 50 } as Headroom,
    looks: 0,
    /** Whether looks never end. */
    hangs: false,
    read() {
      host.looks += 1;
      return host.hangs ? new Promise<Headroom>(() => {}) : Promise.resolve(host.headroom);
    },
  };
  const told: (readonly UnmetRequirement[])[] = [];
  const done = awaitRequirements({
    ...{ requires: { ...NOTHING, ...requires }, onUnmet, host, clock, signal: abort.signal, about },
    onWaiting: (unmet) => void told.push(unmet),
  });
  return { clock, abort, host, told, done };
}

describe('the wait for what a host must have', () => {
  it('[REQ-2] asks nothing where nothing is required, and sets no timer where there is enough', async () => {
    const none = setUp({});
    await none.done;
    expect(none.host.looks).toBe(0);
    const { clock, host, told, done } = setUp({ freeMemoryMB: 50 });
    await done;
    expect([host.looks, told, clock.pending]).toEqual([1, [], 0]);
  });

  it('[REQ-2] looks again after pauses that grow to 5 s, and tells what it has found', async () => {
    const { clock, host, told, done } = setUp();
    const pauses: (number | undefined)[] = [];
    for (let look = 1; look <= 8; look++) {
      await flush();
      expect([host.looks, told.length, clock.holding]).toEqual([look, look, 0]);
      pauses.push(clock.nextIn);
      host.headroom = { freeMemoryMB: 50 + look };
      clock.advance(clock.nextIn ?? 0);
    }
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
    expect(told[2]).toEqual([{ requirement: 'freeMemoryMB', required: 100, measured: 52 }]);
    host.headroom = { freeMemoryMB: 100 };
    await clock.advanceAndFlush(5_000);
    await done;
    expect(clock.pending).toBe(0);
  });

  it('[REQ-2] ends with its signal: before, in a pause, and during a look', async () => {
    const paused = setUp();
    await flush();
    paused.abort.abort('enough');
    expect(await rejection(paused.done)).toBe('enough');
    expect([paused.clock.pending, paused.host.looks]).toEqual([0, 1]);
    const asked = setUp();
    await flush();
    asked.host.hangs = true;
    await asked.clock.advanceAndFlush(250);
    expect(asked.host.looks).toBe(2);
    asked.abort.abort('during a look');
    expect(await rejection(asked.done)).toBe('during a look');
    expect([asked.told.length, asked.clock.pending]).toEqual([1, 0]);
    const clock = new ManualClock();
    const early = new AbortController();
    early.abort('early');
    const host = { read: () => Promise.reject(new Error('it was asked')) };
    const requires = { ...NOTHING, freeMemoryMB: 1 };
    const refused = awaitRequirements({
      ...{ requires, onUnmet: 'wait', host, clock, signal: early.signal, about },
      onWaiting: () => {},
    });
    expect([await rejection(refused), clock.pending]).toEqual(['early', 0]);
  });

  it('[REQ-2] its handler may end it', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const done = awaitRequirements({
      ...{ requires: { ...NOTHING, freeMemoryMB: 1 }, onUnmet: 'wait', clock, signal: abort.signal, about },
      host: { read: () => Promise.resolve({}) },
      onWaiting: () => abort.abort('handler'),
    });
    expect(await rejection(done)).toBe('handler');
    expect(clock.pending).toBe(0);
  });

  it('[REQ-3] fails at once with fail', async () => {
    const { clock, host, told, done } = setUp({ freeMemoryMB: 100, maxLoad: 1 }, 'fail');
    expect(await rejection(done)).toMatchObject({
      code: 'REQUIREMENTS_UNMET',
      data: {
        name: 'pytest',
        unmet: [
          { requirement: 'freeMemoryMB', required: 100, measured: 50 },
          { requirement: 'maxLoad', required: 1, measured: undefined },
        ],
      },
    });
    expect([host.looks, told, clock.pending]).toEqual([1, [], 0]);
  });
});

describe('the headroom of this host', () => {
  it('[REQ-3] has its memory, load, processes and disks', async () => {
    const freeDiskMB = { [tmpdir()]: 1, '/no/such/folder': 1 };
    const headroom = await new HostHeadroom(systemClock).read({ ...NOTHING, freeDiskMB });
    expect(headroom.freeMemoryMB).toBeGreaterThan(1);
    expect(headroom.load).toBeGreaterThanOrEqual(0);
    expect(headroom.freeProcesses).toBeGreaterThan(1);
    expect(headroom.freeDiskMB?.[tmpdir()]).toBeGreaterThanOrEqual(0);
    expect(headroom.freeDiskMB?.['/no/such/folder']).toBeUndefined();
  });

  it('[REQ-2] does not ask a file system again that has not answered', async () => {
    const asked: string[] = [];
    const answers: ((free: number) => void)[] = [];
    const clock = new ManualClock();
    const host = new HostHeadroom(clock, (path) => {
      asked.push(path);
      return new Promise((resolve) => answers.push(resolve));
    });
    const requires = { ...NOTHING, freeDiskMB: { '/hangs': 1 } };
    const [first, second] = [host.read(requires), host.read(requires)];
    expect(await outcome(first)).toBe('pending');
    clock.advance(5_000);
    expect([(await first).freeDiskMB, (await second).freeDiskMB]).toEqual([
      { '/hangs': undefined },
      { '/hangs': undefined },
    ]);
    const third = host.read(requires);
    expect(asked).toEqual(['/hangs']);
    answers[0]?.(7);
    expect((await third).freeDiskMB).toEqual({ '/hangs': 7 });
    const fourth = host.read(requires);
    expect(asked).toEqual(['/hangs', '/hangs']);
    answers[1]?.(8);
    expect((await fourth).freeDiskMB).toEqual({ '/hangs': 8 });
    expect(clock.pending).toBe(0);
  });
});
