import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LaneEvents, QueuePlace } from '../../../src/index.js';
import { newFolder } from '../../helpers/folders.js';
import { newLane, node } from '../../helpers/lanes.js';
import { rejection, until } from '../../helpers/until.js';

const IMPOSSIBLE = { freeMemoryMB: 9_000_000 };

describe('what a command of a lane requires', () => {
  it('[REQ-5] is waited for when it is its turn, and told', async () => {
    const lane = newLane();
    // A file system that comes later.
    const path = join(newFolder(), 'later');
    const places: QueuePlace[] = [];
    const events: LaneEvents['lane:waiting'][] = [];
    lane.on('lane:waiting', (event) => void events.push(event));
    const hold = new AbortController();
    const held = await lane.hold({ signal: hold.signal });
    const result = lane.run(...node(''), {
      requires: { freeDiskMB: { [path]: 1 }, freeMemoryMB: 1 },
      onWaiting: (place) => void places.push(place),
    });
    await until('it has its place', () => places.length > 0);
    expect(places.map(({ position, unmet }) => [position, unmet])).toEqual([[1, undefined]]);
    hold.abort();
    await held.result;
    const unmet = [{ requirement: 'freeDiskMB', path, required: 1, measured: undefined }];
    const place = await until('it waits for the host', () => places.find(({ position }) => position === 0));
    expect(place).toEqual({
      position: 0,
      holder: { pid: process.pid, command: process.execPath, since: expect.any(Number) },
      unmet,
    });
    expect(events.at(-1)).toMatchObject({ lane: 'tests', position: 0, unmet });
    // It holds the lane: the next one waits behind it.
    const next = lane.run(...node(''));
    await until('the next one waits', async () => (await lane.status()).queue.length === 1);
    expect((await lane.status()).holder).toMatchObject({ pid: process.pid, command: process.execPath });
    mkdirSync(path);
    expect([await result, await next]).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
  });

  it('[REQ-5] fails with fail, and the next one has its turn', async () => {
    const lane = newLane();
    let started = 0;
    const onStart = () => void started++;
    const requires = { ...IMPOSSIBLE, freeDiskMB: { [tmpdir()]: 1 } };
    const failed = rejection(lane.run(...node(''), { requires, onUnmet: 'fail', onStart }));
    const next = lane.run(...node(''));
    expect(await failed).toMatchObject({
      code: 'REQUIREMENTS_UNMET',
      message: expect.stringMatching(
        /^command '.*[\d,.]+ MB of memory are free, 9,000,000 MB are required \(freeMemoryMB\)/,
      ),
      data: { unmet: [{ requirement: 'freeMemoryMB', required: 9_000_000, measured: expect.any(Number) }] },
    });
    expect([(await next).exitCode, started]).toEqual([0, 0]);
  });

  it('[REQ-5] a signal or shutdown() ends the wait', async () => {
    const lane = newLane();
    const signal = new AbortController();
    const aborted = rejection(
      lane.run(...node(''), { requires: IMPOSSIBLE, signal: signal.signal, onWaiting: () => signal.abort('enough') }),
    );
    expect(await aborted).toMatchObject({ code: 'LANE_ABORTED', cause: 'enough' });
    let isTold = false;
    const onWaiting = () => {
      isTold = true;
    };
    const ended = rejection(lane.run(...node(''), { requires: IMPOSSIBLE, onWaiting }));
    await until('it waits', () => isTold);
    await lane.shutdown();
    expect(await ended).toMatchObject({ code: 'LANE_ABORTED' });
  });

  it('[REQ-4] is refused at once when it is wrong, all problems in one error', async () => {
    const wrong = { freeMemoryMB: -1, freeDiskMB: { relative: 1 }, maxLoad: true } as never;
    const error = await rejection(
      newLane().run('node', [], { requires: wrong, onUnmet: 'later' as never, termGrace: -1 }),
    );
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
    expect((error as { data: { problems: string[] } }).data.problems).toEqual([
      expect.stringContaining('onUnmet must be'),
      expect.stringContaining('termGrace must be'),
      expect.stringContaining('requires.freeMemoryMB must be'),
      expect.stringContaining('requires.maxLoad must be'),
      expect.stringContaining('requires.freeDiskMB["relative"] must be named by an absolute path'),
    ]);
  });
});
