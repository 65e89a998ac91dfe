import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ProcessCpu } from '../../../src/process/usage/process-usage.js';
import { TreeCpu } from '../../../src/process/usage/tree-cpu.js';
import { propertyRuns } from '../../helpers/properties.js';

const { cases } = propertyRuns(3_000);
const HOST = 1;
/** CPUs, so that no limit hides anything. */
const MANY = 1e9;

interface Task {
  readonly pid: number;
  readonly startTime: number;
  parent: number;
  cpu: number;
  childCpu: number;
  isZombie: boolean;
  ignoresChildren: boolean;
}

/** What the kernel counts for the processes of one tree. Pids are reused as soon as they are free. */
class CpuKernel {
  readonly tasks = new Map<number, Task>();
  now = 0;
  /** What all of them have used, whether they live or not. */
  used = 0;
  #started = 0;

  constructor() {
    this.#add(HOST);
  }

  /** The tree with these pids at the moment. */
  get pids(): number[] {
    return [...this.tasks.keys()];
  }

  step({ what, who, amount }: Step, mode: Mode): void {
    const all = [...this.tasks.values()];
    const task = all[who % all.length];
    if (task === undefined) return;
    if (what === 'run') return this.#run(task, amount);
    if (what === 'fork' && !task.isZombie && all.length < 12) return void this.#add(task.pid);
    if (what === 'exit') return this.#exit(task, mode);
    if (what === 'ignore' && mode === 'any') task.ignoresChildren = true;
    if (what === 'wait' && !task.isZombie) this.#wait(task);
  }

  read(pid: number): ProcessCpu | undefined {
    const task = this.tasks.get(pid);
    if (task === undefined) return undefined;
    const { startTime, parent, cpu, childCpu } = task;
    return { pid, startTime, parent, age: this.now - startTime, cpu, childCpu };
  }

  #add(parent: number): void {
    let pid = HOST + 1;
    while (this.tasks.has(pid)) pid += 1;
    this.#started = Math.max(this.#started + 0.001, this.now);
    const counters = { cpu: 0, childCpu: 0 };
    this.tasks.set(pid, {
      pid,
      startTime: this.#started,
      parent,
      ...counters,
      isZombie: false,
      ignoresChildren: false,
    });
  }

  #run(task: Task, amount: number): void {
    this.now += amount;
    if (task.isZombie) return;
    task.cpu += amount;
    this.used += amount;
  }

  #exit(task: Task, mode: Mode): void {
    const children = [...this.tasks.values()].filter(({ parent }) => parent === task.pid);
    if (task.isZombie || (mode === 'collected' && (task.parent === HOST || children.length > 0))) return;
    task.isZombie = true;
    for (const child of children) {
      // Init collects them, or a process outside that has asked for them.
      child.parent = HOST;
      if (child.isZombie) this.tasks.delete(child.pid);
    }
    const parent = this.tasks.get(task.parent);
    if (parent === undefined || parent.ignoresChildren) this.tasks.delete(task.pid);
  }

  #wait(task: Task): void {
    const child = [...this.tasks.values()].find(({ parent, isZombie }) => parent === task.pid && isZombie);
    if (child === undefined) return;
    task.childCpu += child.cpu + child.childCpu;
    this.tasks.delete(child.pid);
  }
}

/** `collected`: every process is collected by its parent, which is in the tree. */
type Mode = 'any' | 'collected';

interface Step {
  readonly what: 'run' | 'fork' | 'exit' | 'wait' | 'ignore';
  readonly who: number;
  readonly amount: number;
}

/** What happens between two reads of a sample, in one sample, and between two. */
interface Round {
  readonly before: readonly Step[];
  readonly during: readonly (readonly Step[])[];
  readonly order: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('run', 'run', 'fork', 'exit', 'wait', 'wait', 'ignore'),
  who: fc.nat(11),
  amount: fc.nat(20),
});
const round: fc.Arbitrary<Round> = fc.record({
  before: fc.array(step, { maxLength: 12 }),
  during: fc.array(fc.array(step, { maxLength: 3 }), { maxLength: 8 }),
  order: fc.nat(1_000),
});
const rounds = fc.array(round, { minLength: 1, maxLength: 14 });

interface Sampled {
  readonly total: number;
  /** What the tree had really used before and after the sample. */
  readonly usedBefore: number;
  readonly usedAfter: number;
}

/** Samples a tree while it changes: the processes are read one after the other, and then it is looked whether each is there. */
function play(
  plan: readonly Round[],
  mode: Mode,
  cpus: number,
): { kernel: CpuKernel; cpu: TreeCpu; samples: Sampled[] } {
  const kernel = new CpuKernel();
  const cpu = new TreeCpu(cpus);
  let sampledAt = 0;
  const samples = plan.map(({ before, during, order }) => {
    kernel.now += 1_000;
    for (const one of before) kernel.step(one, mode);
    const usedBefore = kernel.used;
    const shift = order % Math.max(1, kernel.pids.length);
    const pids = [...kernel.pids.slice(shift), ...kernel.pids.slice(0, shift)];
    const read = pids.map((pid, index) => {
      for (const one of during[index] ?? []) kernel.step(one, mode);
      return kernel.read(pid);
    });
    const found = read.filter((row) => row !== undefined && kernel.tasks.get(row.pid)?.startTime === row.startTime);
    const total = cpu.add(found as ProcessCpu[], kernel.now - sampledAt);
    sampledAt = kernel.now;
    return { total, usedBefore, usedAfter: kernel.used };
  });
  return { kernel, cpu, samples };
}

describe('TreeCpu', () => {
  it('[USAGE-3] never falls, and never counts more than was used, whoever collects what has ended', () => {
    fc.assert(
      fc.property(rounds, (plan) => {
        const { samples } = play(plan, 'any', MANY);
        let last = 0;
        for (const { total, usedAfter } of samples) {
          expect(total).toBeGreaterThanOrEqual(last);
          expect(total).toBeLessThanOrEqual(usedAfter);
          last = total;
        }
      }),
      { numRuns: cases },
    );
  });

  it('[USAGE-4] shows no more in one sample than was used since the one before the last: no spike', () => {
    fc.assert(
      fc.property(rounds, (plan) => {
        const { samples } = play(plan, 'any', MANY);
        for (const [index, { total, usedAfter }] of samples.entries()) {
          const last = samples[index - 1]?.total ?? 0;
          const since = samples[index - 2]?.usedBefore ?? 0;
          expect(total - last).toBeLessThanOrEqual(usedAfter - since);
        }
      }),
      { numRuns: cases },
    );
  });

  it('[USAGE-3] counts all that was used, when each process is collected by its parent in the tree', () => {
    fc.assert(
      fc.property(rounds, (plan) => {
        const quiet: Round = { before: [], during: [], order: 0 };
        const { kernel, samples } = play([...plan, quiet, quiet], 'collected', MANY);
        expect(samples.at(-1)?.total).toBeCloseTo(kernel.used, 6);
      }),
      { numRuns: cases },
    );
  });

  it('[USAGE-4] never rises by more than all CPUs can give, whatever the counters show', () => {
    const rows = fc.array(
      fc.record({
        pid: fc.integer({ min: 2, max: 6 }),
        startTime: fc.integer({ min: 1, max: 2 }),
        parent: fc.integer({ min: 1, max: 6 }),
        age: fc.integer({ min: -1_000, max: 10_000 }),
        cpu: fc.nat(1_000_000),
        childCpu: fc.nat(1_000_000),
      }),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(rows, fc.integer({ min: -100, max: 10_000 })), { minLength: 1 }), (samples) => {
        const cpu = new TreeCpu(2);
        let last: { total: number; elapsed: number } | undefined;
        for (const [found, elapsed] of samples) {
          const total = cpu.add(found, elapsed);
          if (last) {
            expect(total).toBeGreaterThanOrEqual(last.total);
            const longest = Math.max(0, 2 * (elapsed + Math.max(last.elapsed, elapsed)));
            expect(total - last.total).toBeLessThanOrEqual(longest + found.length * 10);
          }
          last = { total, elapsed };
        }
      }),
      { numRuns: cases },
    );
  });

  const leader = { pid: 2, startTime: 1, parent: HOST, age: 60_000, cpu: 100, childCpu: 0 };

  it('[USAGE-3] keeps what a member has used that another process collects', () => {
    const cpu = new TreeCpu(8);
    cpu.add([leader, { ...leader, pid: 3, parent: 2, cpu: 500 }], 0);
    expect(cpu.add([leader, { ...leader, pid: 3, cpu: 700 }], 1_000)).toBe(800);
    expect(cpu.add([leader], 1_000)).toBe(800);
    expect(cpu.add([{ ...leader, cpu: 150 }], 1_000)).toBe(850);
    expect(cpu.add([], 1_000)).toBe(850);
  });

  it('[USAGE-4] shows no spike when a child is collected between the reads of its parent and of itself', () => {
    const cpu = new TreeCpu(8);
    cpu.add([leader, { ...leader, pid: 3, parent: 2, cpu: 600_000 }], 0);
    expect(cpu.add([leader], 5_000)).toBe(600_100);
    expect(cpu.add([{ ...leader, childCpu: 600_020 }], 5_000)).toBe(600_120);
  });

  it('[USAGE-4] shows no spike for a process whose counters show 0 while it is collected', () => {
    const cpu = new TreeCpu(8);
    cpu.add([leader, { ...leader, pid: 3, parent: 2, cpu: 600_000 }], 0);
    expect(cpu.add([leader, { ...leader, pid: 3, parent: 2, cpu: 0 }], 5_000)).toBe(600_100);
    expect(cpu.add([{ ...leader, childCpu: 600_000 }], 5_000)).toBe(600_100);
  });

  it('[USAGE-4] counts a member that is found late from then on', () => {
    const cpu = new TreeCpu(8);
    cpu.add([leader], 0);
    expect(cpu.add([leader, { ...leader, pid: 3, age: 50_000, cpu: 40_000 }], 5_000)).toBe(100);
    expect(cpu.add([leader, { ...leader, pid: 3, age: 55_000, cpu: 40_030 }], 5_000)).toBe(130);
  });

  it('[USAGE-4] takes a process with a reused pid for another one', () => {
    const cpu = new TreeCpu(8);
    cpu.add([leader, { ...leader, pid: 3, parent: HOST, cpu: 900 }], 0);
    expect(cpu.add([leader, { ...leader, pid: 3, startTime: 2, age: 100, cpu: 50 }], 5_000)).toBe(1_050);
  });
});
