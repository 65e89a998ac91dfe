import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExpectedProcesses } from '../../src/monitor/expected.js';
import { steadySteps, steps, timed } from '../helpers/samples.js';

/** A tree that was ready with so many processes, sampled every 5 s. */
function readyWith(processes: number, defined?: number) {
  const tree = new ExpectedProcesses(defined);
  let at = 0;
  const feed = (count: number, step = 5000) => {
    at += step;
    return tree.update(at, count, true);
  };
  feed(processes);
  /** For so many ms. */
  const stay = (count: number, time: number) => Array.from({ length: time / 5000 }, () => feed(count)).at(-1);
  return { tree, feed, stay };
}

describe('ExpectedProcesses', () => {
  it('[EXPECT-1] what a tree has beyond what it had when it was ready is unexpected', () => {
    const { tree, feed } = readyWith(4);
    expect([feed(4), feed(3), feed(5), feed(14), feed(2)]).toEqual([0, 0, 1, 10, 0]);
    expect(tree.expected).toBe(4);
  });

  it('[EXPECT-1] the definition decides, where it says how many there are', () => {
    const { feed, stay } = readyWith(2, 6);
    expect([feed(6), feed(7), feed(2)]).toEqual([0, 1, 0]);
    expect(stay(16, 600_000)).toBe(10);
  });

  it('[EXPECT-1] a start may have more for a while, but not without a limit', () => {
    const tree = new ExpectedProcesses();
    expect([1, 20, 21, 500].map((count, index) => tree.update(index * 5000, count, false))).toEqual([0, 0, 1, 480]);
    expect(tree.update(20_000, 3, true)).toBe(0);
    expect(tree.expected).toBe(3);
    expect(new ExpectedProcesses(40).update(0, 41, false)).toBe(1);
  });

  it('[EXPECT-1] a burst before the first sample is not taken for what the tree usually has', () => {
    expect(readyWith(500).tree.expected).toBe(20);
    expect(readyWith(500).feed(500)).toBe(480);
  });

  it('[EXPECT-1] 15 servers that are ready before their launcher has started them (npx) have nothing unexpected', () => {
    const { feed } = readyWith(1);
    expect([feed(2), feed(3), feed(3), feed(4)]).toEqual([0, 0, 0, 1]);
  });

  it('[EXPECT-2] a number that has stood still for 60 s is expected: browsers start ten after ready', () => {
    const { tree, stay, feed } = readyWith(3);
    expect(stay(13, 60_000)).toBe(10);
    expect(feed(13)).toBe(0);
    expect(tree.expected).toBe(13);
    // Helpers that come and go are no growth, nor is a tree that gets smaller.
    expect(stay(3, 600_000)).toBe(0);
    expect(tree.expected).toBe(13);
    const restless = readyWith(20);
    for (let count = 0; count < 13; count += 1) restless.feed(30 + (count % 3));
    expect(restless.tree.expected).toBe(32);
    // One that moves by more: what it had all the time, and a few more.
    for (let count = 0; count < 30; count += 1) restless.feed(40 + ((count * 3) % 7));
    expect(restless.tree.expected).toBe(42);
  });

  it('[EXPECT-2] a busy server whose number never rests is expected to have the least of it: compilers, browsers', () => {
    const restless = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.tuple(restless, steadySteps), { minLength: 120, maxLength: 160 }),
        (least, trace) => {
          const { tree, feed } = readyWith(1);
          for (const [more, step] of trace) feed(least + more, step);
          const most = Math.max(...trace.map(([more]) => least + more));
          expect(tree.expected).toBeGreaterThanOrEqual(Math.min(...trace.map(([more]) => least + more)));
          expect(tree.expected).toBeLessThanOrEqual(most);
        },
      ),
    );
  });

  it('[EXPECT-2] a busy server is never expected to have what it had for a moment', () => {
    const { tree, feed } = readyWith(4);
    for (let sample = 0; sample < 240; sample += 1) feed(sample % 3 === 0 ? 40 : 4 + (sample % 2));
    expect(tree.expected).toBe(4);
  });

  it('[EXPECT-2] slow growth without end is learned a few times, and then seen, also where the number never rests', () => {
    const pace = {
      minutes: fc.integer({ min: 1, max: 10 }),
      most: fc.nat(4),
      noise: fc.array(fc.nat(4), { minLength: 50 }),
    };
    fc.assert(
      fc.property(fc.record(pace), ({ minutes, most, noise }) => {
        const { tree, feed } = readyWith(3);
        const [expected, unexpected] = [new Set<number>(), new Set<number>()];
        for (let sample = 0; sample < 120 * minutes * 12; sample += 1) {
          const restless = Math.min(noise[sample % noise.length] ?? 0, most);
          unexpected.add(feed(3 + Math.floor(sample / (minutes * 12)) + restless));
          expected.add(tree.expected);
        }
        // Each raise takes twice as long: at last the growth of that time shows in any noise.
        expect(expected.size).toBeLessThanOrEqual(3 + Math.log2(4 * (1 + most) * minutes));
        expect(Math.max(...unexpected)).toBeGreaterThanOrEqual(15);
      }),
      { numRuns: 60 },
    );
  });

  it('[EXPECT-2] a definition that says no number any more is learned from anew, within 60 s', () => {
    const { tree, stay } = readyWith(3);
    for (const count of [10, 20, 30]) stay(count, 300_000);
    expect(tree.expected).toBe(30);
    tree.define(31);
    stay(2, 30_000);
    tree.define(undefined);
    stay(2, 5_000);
    expect([stay(8, 60_000), stay(8, 5_000)]).toEqual([6, 0]);
  });

  it('[EXPECT-2] 30 helpers more in each sample are unexpected at once, and all of them', () => {
    const { feed } = readyWith(4);
    const seen = Array.from({ length: 40 }, (_, sample) => feed(4 + 30 * (sample + 1)));
    expect(seen).toEqual(seen.map((_, sample) => 30 * (sample + 1)));
  });

  it('[EXPECT-2] what grows on is never expected', () => {
    const more = fc.integer({ min: 2, max: 40 });
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 20 }),
        fc.array(fc.tuple(more, steadySteps), { maxLength: 60 }),
        (begin, trace) => {
          const { tree, feed } = readyWith(begin);
          let processes = begin;
          for (const [added, step] of trace) {
            processes += added + Math.ceil(processes / 10);
            expect(feed(processes, step)).toBe(processes - begin);
          }
          expect(tree.expected).toBe(begin);
        },
      ),
    );
  });

  it('[EXPECT-2] a server that leaves one helper behind every two minutes is seen', () => {
    const { feed } = readyWith(3);
    const unexpected = Array.from({ length: 100 }, (_, count) => {
      for (let sample = 0; sample < 23; sample += 1) feed(4 + count);
      return feed(4 + count);
    });
    const warned = unexpected.findIndex((number) => number >= 15);
    expect(warned).toBeGreaterThanOrEqual(15);
    expect(warned).toBeLessThan(30);
    expect(unexpected.at(-1)).toBeGreaterThan(80);
  });

  it('[EXPECT-3] a suspended machine, or a clock that is set, makes nothing expected', () => {
    for (const jump of [3_600_000, -3_600_000]) {
      const { feed, tree } = readyWith(4);
      expect([feed(30), feed(30, jump), feed(30), feed(30)]).toEqual([26, 26, 26, 26]);
      expect(tree.expected).toBe(4);
    }
  });

  it('[EXPECT-3] never falls, is never more than was there, and what is unexpected is never below 0', () => {
    const trees = fc.array(fc.record({ step: steps, processes: fc.nat(60), isReady: fc.boolean() }));
    fc.assert(
      fc.property(trees, fc.option(fc.integer({ min: 1, max: 30 }), { nil: undefined }), (trace, defined) => {
        const tree = new ExpectedProcesses(defined);
        let wasReady = false;
        for (const [index, { at, processes, isReady }] of timed(trace).entries()) {
          const before = tree.expected;
          const unexpected = tree.update(at, processes, isReady);
          expect(unexpected).toBe(Math.max(processes - tree.expected, 0));
          if (wasReady) expect(tree.expected).toBeGreaterThanOrEqual(before);
          wasReady ||= isReady && processes > 0;
          const seen = trace.slice(0, index + 1).map((sample) => sample.processes);
          if (wasReady) expect(tree.expected).toBeLessThanOrEqual(defined ?? Math.max(...seen));
        }
      }),
    );
  });

  it('[EXPECT-3] a tree that has vanished changes nothing', () => {
    const { tree, feed, stay } = readyWith(8);
    expect([feed(0), stay(0, 120_000), feed(8), feed(9)]).toEqual([0, 0, 0, 1]);
    expect(tree.expected).toBe(8);
    const unseen = readyWith(0);
    expect([unseen.feed(8), unseen.feed(9)]).toEqual([0, 1]);
  });
});
