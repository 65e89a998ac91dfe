import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { resolveRun } from '../../../src/config/lane-options.js';
import type { ServerProcess } from '../../../src/process/launcher.js';
import { deferred } from '../../../src/runtime/deferred.js';
import { LaneRun } from '../../../src/sequence/lanes/lane-run.js';
import { ManualClock } from '../../helpers/clock.js';
import { until } from '../../helpers/until.js';

describe('the run of a command', () => {
  it('[LANE-9] is measured until its tree is dead: after SIGTERM it may still grow', async () => {
    const clock = new ManualClock();
    const ended = deferred<Awaited<ReturnType<ServerProcess['end']>>>();
    let memoryMB = 10;
    let isEnding = false;
    const process = {
      pid: 4_711,
      identity: undefined,
      stdin: new PassThrough(),
      stdout: new PassThrough(),
      stderrTail: '',
      drained: async () => {},
      usage: async () => ({ memoryMB, processes: 1, cpuTime: 1 }),
      end() {
        isEnding = true;
        return ended.promise;
      },
      killNow() {},
    } as unknown as ServerProcess;
    const run = new LaneRun({
      run: resolveRun('hog', [], { limits: { memoryMB: 100 } }),
      clock,
      onStalled() {},
    });
    const result = run.follow(process, 0);
    memoryMB = 150;
    await until('it is over its limit', () => {
      clock.advance(100);
      return isEnding;
    });
    memoryMB = 900;
    let samples = 0;
    await until('it is measured again', () => {
      clock.advance(500);
      return ++samples > 3;
    });
    run.exited({ exitCode: null, signal: 'SIGKILL' });
    ended.resolve({ pid: 4_711, endedBy: 'SIGKILL', steps: [], duration: 0, survivors: [] });
    expect(await result).toMatchObject({ endedBy: 'limit', limit: 'memoryMB', peak: { memoryMB: 900 } });
    expect(clock.pending).toBe(0);
  });
});
