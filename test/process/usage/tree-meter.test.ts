import { describe, expect, it } from 'vitest';
import { cpuPercent } from '../../../src/monitor/cpu-percent.js';
import type { CgroupFigures, ProcessUsage } from '../../../src/process/usage/process-usage.js';
import { TreeMeter } from '../../../src/process/usage/tree-meter.js';

const MB = 1_048_576;
const HOUR = 3_600_000;

/** A meter of a tree whose processes and clocks the test sets. */
function setup(cgroup?: () => CgroupFigures) {
  const time = { awake: 1_000, withSleep: 50_000 };
  const state: { found: ProcessUsage[] } = { found: [] };
  const reader = { read: () => state.found, close: () => {} };
  const source = { reader: () => reader, age: () => 0, now: () => time.withSleep };
  const meter = new TreeMeter({ source, age: 7_000, now: () => time.awake, ...(cgroup && { cgroup }) });
  const pass = (ms: number, asleep = 0) => {
    time.awake += ms;
    time.withSleep += ms + asleep;
  };
  return { state, pass, measure: () => meter.measure(() => []) };
}

function process(pid: number, figures: Partial<ProcessUsage> = {}): ProcessUsage {
  const identity = { pid, startTime: pid, parent: 1, age: 0, isZombie: false };
  return {
    ...identity,
    cpu: 0,
    childCpu: 0,
    threads: 1,
    resident: 8 * MB,
    unique: 4 * MB,
    sharedMemory: 0,
    ...figures,
  };
}

describe('TreeMeter', () => {
  it('[USAGE-14] counts the time in which the machine slept in uptime', async () => {
    const { pass, measure } = setup();
    expect(await measure()).toMatchObject({ at: 1_000, uptime: 7_000 });
    pass(5_000, HOUR);
    expect(await measure()).toMatchObject({ at: 6_000, uptime: 12_000 + HOUR });
  });

  it('[USAGE-14] [CPU-2] a sleep of the machine is no time in which a tree has used CPU', async () => {
    const { state, pass, measure } = setup();
    state.found = [process(2, { cpu: 1_000 })];
    const before = await measure();
    pass(5_000, HOUR);
    state.found = [process(2, { cpu: 2_000 })];
    const after = await measure();
    expect(cpuPercent(before, after)).toBeUndefined();
    pass(5_000);
    state.found = [process(2, { cpu: 3_000 })];
    expect(cpuPercent(after, await measure())).toBeCloseTo(20, 6);
  });

  it('[USAGE-14] counts what a process has used that began before the machine slept, and was found after it', async () => {
    const { state, pass, measure } = setup();
    state.found = [process(2, { cpu: 1_000 })];
    await measure();
    pass(5_000, HOUR);
    state.found = [process(2, { cpu: 1_000 }), process(3, { cpu: 300, age: HOUR + 4_000 })];
    expect((await measure()).cpuTime).toBe(1_300);
  });

  it('[USAGE-13] of a server that was moved in takes what is more: what its cgroup has counted since, or the sum', async () => {
    let figures: CgroupFigures = { memory: 3 * MB, cpuTime: undefined, isPart: true };
    const { state, measure } = setup(() => figures);
    state.found = [process(2), process(3)];
    expect((await measure()).memoryMB).toBe(8);
    figures = { ...figures, memory: 30 * MB };
    expect((await measure()).memoryMB).toBe(30);
    figures = { ...figures, memory: undefined };
    expect((await measure()).memoryMB).toBe(8);
    figures = { memory: 3 * MB, cpuTime: undefined };
    expect((await measure()).memoryMB).toBe(3);
  });

  it('[USAGE-18] counts of shared memory what the process has that has most: what it has started has the same', async () => {
    let figures: CgroupFigures = { memory: undefined, cpuTime: undefined };
    const { state, measure } = setup(() => figures);
    state.found = [process(2, { sharedMemory: 200 * MB }), process(3, { sharedMemory: 150 * MB }), process(4)];
    expect((await measure()).memoryMB).toBe(212);
    figures = { ...figures, memory: 90 * MB, isPart: true };
    expect((await measure()).memoryMB).toBe(212);
    figures = { memory: 190 * MB, cpuTime: undefined };
    expect((await measure()).memoryMB).toBe(190);
  });
});
