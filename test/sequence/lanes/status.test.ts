import { describe, expect, it } from 'vitest';
import type { LaneStatus } from '../../../src/index.js';
import { startHost } from '../../helpers/host.js';
import { newLane, node } from '../../helpers/lanes.js';
import { until } from '../../helpers/until.js';

describe('status() and watch() of a lane', () => {
  it('[LANE-14] show holder and queue, also of other processes', async () => {
    const lane = newLane();
    expect(await lane.status()).toEqual({ lane: 'tests', holder: undefined, queue: [] });
    const host = startHost(`
      const { SequentialExecutor } = await import(SRC + '/index.js');
      const lane = new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(lane.folder)} });
      await lane.run('sleep', ['1000']);`);
    const holder = { pid: host.child.pid, command: 'sleep', since: expect.any(Number) };
    await until('it holds the lane', async () => (await lane.status()).holder?.pid === host.child.pid);
    const call = lane.run(...node('0'));
    const waiter = { position: 1, pid: process.pid, command: process.execPath, since: expect.any(Number) };
    await until('one waits', async () => (await lane.status()).queue.length === 1);
    expect(await lane.status()).toEqual({ lane: 'tests', holder, queue: [waiter] });
    // Nobody is told to be dead by being looked at.
    expect(await lane.status()).toEqual({ lane: 'tests', holder, queue: [waiter] });
    host.child.kill('SIGKILL');
    await call;
    expect(await lane.status()).toEqual({ lane: 'tests', holder: undefined, queue: [] });
  });

  it('[LANE-14] follow every change, also the death of a holder that nobody waits for', async () => {
    const lane = newLane();
    const seen: LaneStatus[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const status of lane.watch({ signal: stop.signal, interval: 10 })) seen.push(status);
    })();
    await until('it is free', () => seen.at(-1)?.holder === undefined && seen.length === 1);
    const host = startHost(`
      const { SequentialExecutor } = await import(SRC + '/index.js');
      await new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(lane.folder)} }).run('sleep', ['1000']);`);
    await until('it is held', () => seen.at(-1)?.holder?.pid === host.child.pid);
    host.child.kill('SIGKILL');
    await until('it is free again', () => seen.at(-1)?.holder === undefined);
    stop.abort();
    await watching;
    expect(seen.every(({ queue }) => queue.length === 0)).toBe(true);
  });

  it('[LANE-14] end with the loop', async () => {
    for await (const status of newLane().watch()) {
      expect(status.holder).toBeUndefined();
      break;
    }
  });
});
