import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LaneEvents, RunLimits } from '../../../src/index.js';
import { type Clock, systemClock, type Timer } from '../../../src/runtime/clock.js';
import { exceededBy } from '../../../src/sequence/lanes/run-limits.js';
import { StallWatch } from '../../../src/sequence/lanes/stall.js';
import { newLane, node } from '../../helpers/lanes.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** A tree: the command, and a child of it in a session of its own that does what is too much. Both deaf to SIGTERM. */
const treeThat = (does: string) => `
  process.on('SIGTERM', () => {});
  const { spawn } = require('node:child_process');
  spawn(process.execPath, ['-e', ${JSON.stringify(`process.on('SIGTERM', () => {}); ${does}; setInterval(() => {}, 1e6)`)}],
    { detached: true, stdio: 'ignore' });
  setInterval(() => {}, 1e6)`;

const MEMORY = treeThat('globalThis.kept = Buffer.alloc(300 << 20, 1)');
const PROCESSES = treeThat(
  "for (let n = 0; n < 12; n++) require('node:child_process').spawn('sleep', ['1000'], { stdio: 'ignore' })",
);
const CPU = treeThat('for (;;);');

/** Longer than a test. */
const TIME = 3_600_000;

/** The system's clock, but the time of a command is over when the test says so. */
class HeldTime implements Clock {
  over: () => void = () => {};

  now(): number {
    return systemClock.now();
  }

  after(...args: Parameters<Clock['after']>): Timer {
    const [delay, task] = args;
    const timer = systemClock.after(...args);
    if (delay === TIME) {
      this.over = () => {
        timer.cancel();
        task();
      };
    }
    return timer;
  }
}

describe('the limits of a lane', () => {
  it.each<[keyof RunLimits, string, RunLimits, number]>([
    ['memoryMB', MEMORY, { memoryMB: 200 }, 1],
    ['processes', PROCESSES, { processes: 8 }, 13],
    ['cpuTime', CPU, { cpuTime: 400 }, 1],
    ['time', treeThat(''), { time: TIME }, 1],
  ])('[LANE-9] end the whole tree that is over %s, and no other', async (limit, script, limits, children) => {
    const time = new HeldTime();
    const before = descendants().length;
    // The same command line, not in the lane.
    const neighbour = spawn(...node(script), { stdio: 'ignore' });
    const tree = () => [neighbour.pid ?? 0, ...descendants(neighbour.pid).map(({ pid }) => pid)].filter(isLiving);
    onTestFinished(async () => {
      for (const pid of tree().reverse()) process.kill(pid, 'SIGKILL');
      await until('the neighbour is dead', () => tree().length === 0);
    });
    await until('the neighbour has its children', () => tree().length === 1 + children);
    const lane = newLane({}, time);
    const ended: LaneEvents['lane:ended'][] = [];
    lane.on('lane:ended', (event) => void ended.push(event));
    const running = lane.run(...node(script), { limits, termGrace: 100 });
    if (limit === 'time') {
      // A child that runs shows that both are deaf to SIGTERM by now.
      await until('the whole tree runs', () => descendants().length === before + 1 + children + 1 + children);
      time.over();
    }
    const result = await running;
    expect(result).toMatchObject({ endedBy: 'limit', limit, exitCode: null, signal: 'SIGKILL', survivors: [] });
    if (limit !== 'time') expect(result.peak[limit]).toBeGreaterThan(limits[limit] ?? Infinity);
    expect(ended).toMatchObject([{ lane: 'tests', command: process.execPath, endedBy: 'limit', limit }]);
    expect([tree().length, descendants().length]).toEqual([1 + children, before + 1 + children]);
  });

  it('[LANE-9] are compared with what the tree uses, the most harmful one first', () => {
    const usage = { memoryMB: 100, processes: 5, cpuTime: 1_000 } as Parameters<typeof exceededBy>[0];
    const none = { memoryMB: Infinity, processes: Infinity, cpuTime: Infinity, time: Infinity };
    expect(exceededBy(usage, none)).toBeUndefined();
    expect(exceededBy(usage, { ...none, memoryMB: 100, processes: 5, cpuTime: 1_000 })).toBeUndefined();
    expect(exceededBy(usage, { ...none, memoryMB: 99, processes: 4 })).toBe('memoryMB');
    expect(exceededBy(usage, { ...none, processes: 4, cpuTime: 999 })).toBe('processes');
    expect(exceededBy(usage, { ...none, cpuTime: 999 })).toBe('cpuTime');
  });
});

describe('a command that is stalled', () => {
  it('[LANE-7] is told, once, and ended only if asked', async () => {
    const lane = newLane();
    const stalled: LaneEvents['lane:stalled'][] = [];
    lane.on('lane:stalled', (event) => void stalled.push(event));
    const stop = new AbortController();
    const { pid, result } = await lane.hold({ stalledAfter: 400, signal: stop.signal });
    await until('it is told', () => stalled.length > 0);
    expect(stalled).toEqual([{ lane: 'tests', command: process.execPath, pid, idle: expect.any(Number) }]);
    expect(isLiving(pid)).toBe(true);
    stop.abort();
    await result;
    const ended = await lane.run(...node('setInterval(() => {}, 1e6)'), { stalledAfter: 400, whenStalled: 'end' });
    expect(ended).toMatchObject({ endedBy: 'stall', survivors: [] });
  });

  it('[LANE-7] is one that neither writes nor computes', () => {
    const watch = new StallWatch(1_000, 0);
    const see = (now: number, cpuTime: number, bytes: number) => watch.see(now, { cpuTime, bytes });
    expect(see(0, 0, 0)).toBeUndefined();
    expect(see(500, 0, 0)).toBeUndefined();
    // It writes; then it computes; timers of an idle program do not count.
    expect(see(1_000, 0, 1)).toBeUndefined();
    expect(see(1_900, 20, 1)).toBeUndefined();
    expect(see(2_800, 25, 1)).toBeUndefined();
    expect(see(2_900, 25, 1)).toBe(1_000);
    expect(see(9_000, 25, 1)).toBeUndefined();
    // A second stall is told again.
    expect(see(9_100, 25, 2)).toBeUndefined();
    expect(see(10_100, 25, 2)).toBe(1_000);
  });
});

describe('a stall', () => {
  it('[LANE-7] is not what passes while the host is stopped', () => {
    const watch = new StallWatch(1_000, 0);
    const progress = { cpuTime: 0, bytes: 5 };
    expect(watch.see(0, progress)).toBeUndefined();
    expect(watch.see(250, progress)).toBeUndefined();
    // Ctrl-Z, and an hour later fg. What the command wrote was not read.
    expect(watch.see(3_600_000, progress)).toBeUndefined();
    expect(watch.see(3_600_900, progress)).toBeUndefined();
    expect(watch.see(3_601_000, progress)).toBe(1_000);
    // It is looked at every 10 ms at most.
    const brief = new StallWatch(1, 0);
    expect([brief.see(0, progress), brief.see(10, progress)]).toEqual([undefined, 10]);
  });
});
