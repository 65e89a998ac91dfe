import { getEventListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { QueuePlace } from '../../../src/index.js';
import { LaneFolder } from '../../../src/sequence/lanes/lane-folder.js';
import { newFolder } from '../../helpers/folders.js';
import { runHost, startHost } from '../../helpers/host.js';
import { newLane } from '../../helpers/lanes.js';
import { rejection, until } from '../../helpers/until.js';

const ID = 'a'.repeat(24);

describe('a participant that does not answer', () => {
  it('[LANE-14] is shown, and those that wait for it are told so', async () => {
    const lane = newLane();
    const folder = new LaneFolder(lane.lane, lane.folder);
    folder.make();
    writeFileSync(folder.file(`${ID}.info`), JSON.stringify({ pid: 4_711, command: 'make', since: 1 }));
    const path = folder.file(`1.${ID}`);
    // As a process that is stopped (SIGSTOP): the kernel takes connections until its queue is full.
    const host = startHost(`
      const { createServer } = await import('node:net');
      createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
        console.log('listens');
        setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
      });`);
    await until('it listens', () => host.stdout().includes('listens'));
    let refused = 0;
    const connections = Array.from({ length: 5 }, () => createConnection(path).on('error', () => void refused++));
    onTestFinished(() => {
      for (const connection of connections) connection.destroy();
    });
    await until('its queue is full', () => refused > 0);
    const holder = { pid: 4_711, command: 'make', since: 1 };
    expect(await lane.status()).toEqual({ lane: 'tests', holder, queue: [] });
    let place: QueuePlace | undefined;
    const stop = new AbortController();
    const error = rejection(
      lane.run('true', [], {
        signal: stop.signal,
        onWaiting: (told) => {
          place = told;
        },
      }),
    );
    await until('it is told that it waits', () => place);
    expect(place).toEqual({ position: 1, holder });
    expect((await lane.status()).queue).toMatchObject([{ position: 1, pid: process.pid }]);
    stop.abort();
    expect(await error).toMatchObject({ code: 'LANE_ABORTED' });
  });
});

describe('watch() of a lane', () => {
  it('[LANE-14] ends when it is aborted, not at its next look', async () => {
    const stop = new AbortController();
    const interval = 1_000_000;
    for await (const _ of newLane().watch({ signal: stop.signal, interval })) setImmediate(() => stop.abort());
    expect(stop.signal.aborted).toBe(true);
  });
});

describe('a signal of many calls', () => {
  it('[LANE-6] gets one listener, so that Node warns of no leak, and none is left', async () => {
    const lane = newLane();
    const stop = new AbortController();
    const { result } = await lane.hold({ signal: stop.signal });
    const calls = Array.from({ length: 20 }, () => rejection(lane.run('true', [], { signal: stop.signal })));
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
    stop.abort('enough');
    for (const call of calls) expect(await call).toMatchObject({ code: 'LANE_ABORTED', cause: 'enough' });
    expect((await result).endedBy).toBe('abort');
    expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0);
  });
});

describe('shutdown() of a lane', () => {
  it('[LANE-6] keeps the host alive until it is over, also when the guardian is stopped', async () => {
    const { code, stdout } = await runHost(`
      const { SequentialExecutor } = await import(SRC + '/index.js');
      const { hostGuard } = await import(SRC + '/process/guardian/host-guard.js');
      const lane = new SequentialExecutor({ lane: 'tests', folder: ${JSON.stringify(newFolder())} });
      const { pid } = await new Promise((onStart) => void lane.run('sleep', ['1000'], { onStart }));
      process.kill(hostGuard().status().guardian, 'SIGSTOP');
      await lane.shutdown();
      console.log('over');`);
    expect([code, stdout]).toEqual([0, 'over\n']);
  });
});
