import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { resolveRun } from '../../../src/config/lane-options.js';
import type { ServerProcess } from '../../../src/process/launcher.js';
import { deferred } from '../../../src/runtime/deferred.js';
import { LaneRun } from '../../../src/sequence/lanes/lane-run.js';
import { ManualClock } from '../../helpers/clock.js';
import { flush, until } from '../../helpers/until.js';

type Ended = Awaited<ReturnType<ServerProcess['end']>>;

const serverProcess = (usage: () => Promise<object>) => ({
  pid: 4_711,
  identity: undefined,
  stdin: new PassThrough(),
  stdout: new PassThrough(),
  stderrTail: '',
  drained: async () => {},
  usage,
  killNow() {},
});

/** As a timer of Node: a longer delay would be over at once. */
class NodeClock extends ManualClock {
  override after(delay: number, ...rest: [() => void, 'holding'?]): ReturnType<ManualClock['after']> {
    return super.after(delay > 2 ** 31 - 1 ? 1 : delay, ...rest);
  }
}

describe('the run of a command', () => {
  it('[LANE-9] may have more time than a timer of Node', async () => {
    const clock = new NodeClock();
    const day = 86_400_000;
    const ended: Ended = { pid: 4_711, endedBy: 'SIGTERM', steps: [], duration: 0, survivors: [] };
    const run = new LaneRun({ run: resolveRun('long', [], { limits: { time: 60 * day } }), clock, onStalled() {} });
    let isEnding = false;
    const end = async () => {
      isEnding = true;
      run.exited({ exitCode: null, signal: 'SIGTERM' });
      return ended;
    };
    const result = run.follow({ ...serverProcess(async () => ({})), end } as unknown as ServerProcess, 0);
    for (let days = 1; days < 60; days++) {
      clock.advance(day);
      await flush();
    }
    expect(isEnding).toBe(false);
    clock.advance(day);
    expect(await result).toMatchObject({ endedBy: 'limit', limit: 'time' });
    expect(clock.pending).toBe(0);
  });

  it('[LANE-9] is measured until its tree is dead: after SIGTERM it may still grow', async () => {
    const clock = new ManualClock();
    const ended = deferred<Ended>();
    let memoryMB = 10;
    let isEnding = false;
    const process = {
      ...serverProcess(async () => ({ memoryMB, processes: 1, cpuTime: 1 })),
      end() {
        isEnding = true;
        return ended.promise;
      },
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
