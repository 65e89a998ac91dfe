import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRising, QueueGrowth } from '../../../src/health/service-levels/queue-growth.js';

const SLICE = 10_000;

/** How often a queue begins to grow, of which the length is said at each second. */
function growths(seconds: number, waitingAt: (second: number) => number): number {
  const queue = new QueueGrowth();
  let begins = 0;
  for (let second = 0; second < seconds; second += 1) if (queue.add(second * 1_000, waitingAt(second))) begins += 1;
  return begins;
}

describe('QueueGrowth', () => {
  it('[SLO-6] sees a queue that grows for a minute, once', () => {
    expect(growths(300, (second) => Math.floor(second / 4))).toBe(1);
  });

  it('[SLO-6] sees it again when the queue was served meanwhile', () => {
    expect(growths(600, (second) => (second % 300 < 150 ? second % 300 : 0))).toBe(2);
  });

  it.each([
    ['nobody waits', () => 0],
    ['always as many wait', () => 200],
    ['bursts are served', (second: number) => Math.max(0, 200 - 20 * (second % 30))],
    ['one start is slow', (second: number) => (second < 25 ? second : 0)],
    ['it comes down', (second: number) => 600 - second],
  ] as const)('[SLO-6] sees none when %s', (_what, waitingAt) => {
    expect(growths(600, waitingAt)).toBe(0);
  });

  it('[SLO-6] knows the length between two calls: that of the last', () => {
    const queue = new QueueGrowth();
    queue.add(0, 1);
    queue.add(100 * SLICE, 2);
    queue.add(101 * SLICE, 3);
    queue.add(102 * SLICE, 4);
    expect(queue.add(103 * SLICE, 5)).toBe(false);
    expect(queue.add(104 * SLICE, 5)).toBe(true);
  });

  it('[SLO-6] a queue that falls once, or rises twice at most, does not grow', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 7, maxLength: 7 }), (floors) => {
        const steps = floors.slice(1).map((floor, index) => floor - floors[index]!);
        const rises = steps.filter((step) => step > 0).length;
        expect(isRising(floors)).toBe(rises >= 3 && steps.every((step) => step >= 0));
      }),
    );
    expect(isRising([0, 1, 2, 3, 4, 5])).toBe(false);
  });
});
