import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReplacedServers } from '../../src/monitor/replaced-servers.js';
import { assessed, type SampledTree } from '../helpers/assessed.js';

const FIRST = 60_000;
const TREE = { kind: 'memory', name: 'a', value: 150, isUrgent: true } as const;

/** A server whose every process is over its limit: when is it replaced within so many ms? `lives`: what each process has. */
function replacements(
  time: number,
  lives: (age: number, life: number) => Partial<SampledTree>,
  others: readonly SampledTree[] = [],
) {
  const { assessment, sample } = assessed();
  const times: number[] = [];
  let [born, life] = [0, 0];
  for (let at = 5_000; at <= time; at += 5_000) {
    const limits = { memoryMB: 100 };
    const tree = { id: `a ${life}`, name: 'a', limits, uptime: at - born, ...lives(at - born, life) };
    const { treeActions } = sample(at, [tree, ...others]);
    if (treeActions.length === 0) continue;
    times.push(at);
    [born, life] = [at, life + 1];
  }
  return { assessment, times };
}

describe('a server whose every process needs more than its limit', () => {
  it('[REPLACED-1] is replaced after pauses that grow, however far above it is', () => {
    const { times } = replacements(7_200_000, () => ({ memoryMB: 133 }));
    const pauses = times.map((time, index) => time - (times[index - 1] ?? 0)).slice(1);
    expect(pauses.slice(0, 5)).toEqual([60_000, 120_000, 240_000, 480_000, 960_000]);
    expect(Math.max(...pauses)).toBe(960_000);
  });

  it('[REPLACED-1] for each kind of limit', () => {
    for (const figures of [
      { limits: { processes: 10 }, processes: 12 },
      { limits: { memoryMB: 100 }, memoryMB: 101 },
    ])
      expect(replacements(3_600_000, () => figures).times.length).toBeLessThan(8);
  });

  it('[REPLACED-1] whatever a host has added under its name', () => {
    const limits = { memoryMB: 100 };
    const added: SampledTree = { id: 'x', name: 'a', phase: 'foreign', limits, memoryMB: 10, uptime: 1_000 };
    const lives = () => ({ memoryMB: 133 });
    expect(replacements(3_600_000, lives, [added]).times).toEqual(replacements(3_600_000, lives).times);
  });

  it('[REPLACED-2] is replaced soon when it had little for some minutes first', () => {
    const { times } = replacements(7_200_000, (age) => ({ memoryMB: age < 300_000 ? 40 : 120 }));
    // Five minutes, and the windows.
    expect(times.length).toBeGreaterThan(18);
  });

  it('[REPLACED-2] is replaced at once when it needs much more than the one before it', () => {
    const { times } = replacements(200_000, (_, life) => ({ memoryMB: 120 * 2 ** life }));
    expect(times).toEqual([35_000, 70_000, 105_000, 140_000, 175_000]);
  });

  it('[REPLACED-2] is replaced at once when its definition has changed', () => {
    const { assessment, sample } = assessed();
    let replaced = 0;
    for (let at = 5_000; at <= 600_000; at += 5_000) {
      const tree = { id: `a ${replaced}`, name: 'a', limits: { memoryMB: 100 }, memoryMB: 120, uptime: 5_000 };
      const { treeActions } = sample(at, [tree]);
      replaced += treeActions.length;
      assessment.forgetLives('a');
    }
    expect(replaced).toBeGreaterThan(15);
  });
});

describe('ReplacedServers', () => {
  it('[REPLACED-1] one that is older than the last replacement does not rest, and makes no pause longer', () => {
    const replaced = new ReplacedServers(FIRST);
    for (const at of [100_000, 101_000, 102_000, 103_000]) {
      const older = { ...TREE, uptime: at };
      expect(replaced.rests(at, older)).toBe(false);
      replaced.note(at, older);
    }
    const young = { ...TREE, uptime: 40_000 };
    expect([replaced.rests(150_000, young), replaced.rests(161_000, young)]).toEqual([true, false]);
  });

  it('[REPLACED-1] says nothing of other servers, and other reasons', () => {
    const replaced = new ReplacedServers(FIRST);
    replaced.note(0, { ...TREE, uptime: 0 });
    const rests = (more: object) => replaced.rests(30_000, { ...TREE, uptime: 20_000, ...more });
    expect(rests({})).toBe(true);
    expect([{ name: 'b' }, { kind: 'cpu' }, { value: 225 }].map(rests)).toEqual([false, false, false]);
  });

  it('[REPLACED-2] one that has become urgent does not rest, if the one before it was not', () => {
    const replaced = new ReplacedServers(FIRST);
    replaced.note(0, { ...TREE, uptime: 0, isUrgent: false });
    const young = { ...TREE, uptime: 20_000 };
    expect(replaced.rests(30_000, { ...young, isUrgent: false })).toBe(true);
    expect(replaced.rests(30_000, young)).toBe(false);
  });

  it('[REPLACED-2] a calm tree that was there before says nothing of the one that came', () => {
    const replaced = new ReplacedServers(FIRST);
    replaced.note(0, { ...TREE, uptime: 0 });
    const young = { ...TREE, uptime: 20_000 };
    replaced.helped(30_000, { ...TREE, uptime: 900_000 });
    expect(replaced.rests(30_000, young)).toBe(true);
    replaced.helped(30_000, young);
    expect(replaced.rests(30_000, young)).toBe(false);
  });

  it('[REPLACED-1] knows a limited number of servers, and none rests for longer than 16 first pauses', () => {
    const names = fc.array(fc.tuple(fc.integer({ min: 0, max: 3_000 }), fc.nat(200_000)), { maxLength: 300 });
    fc.assert(
      fc.property(names, (steps) => {
        const replaced = new ReplacedServers(FIRST);
        let at = 0;
        for (const [name, step] of steps) {
          at += step;
          replaced.note(at, { ...TREE, name: String(name % 5), uptime: 0 });
        }
        for (let name = 0; name < 5; name += 1)
          expect(replaced.rests(at + 16 * FIRST, { ...TREE, name: String(name), uptime: 0 })).toBe(false);
      }),
    );
    const replaced = new ReplacedServers(FIRST);
    for (let server = 0; server < 1_001; server += 1) replaced.note(0, { ...TREE, name: `s${server}`, uptime: 0 });
    const rests = (name: string) => replaced.rests(1, { ...TREE, name, uptime: 0 });
    expect([rests('s0'), rests('s1'), rests('s1000')]).toEqual([false, true, true]);
  });
});
