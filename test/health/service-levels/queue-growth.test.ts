import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QueueGrowth } from '../../../src/health/service-levels/queue-growth.js';

/** How often a queue begins to grow, by its length at each second: of each ten seconds the least is told. */
function growths(seconds: number, waitingAt: (second: number) => number): number {
  const queue = new QueueGrowth();
  let begins = 0;
  for (let begin = 0; begin < seconds; begin += 10) {
    const lengths = Array.from({ length: 10 }, (_, index) => waitingAt(begin + index));
    if (queue.add(Math.min(...lengths))) begins += 1;
  }
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
    ['no caller waits', () => 0],
    ['always as many wait', () => 200],
    ['bursts are served', (second: number) => Math.max(0, 200 - 20 * (second % 30))],
    ['one start is slow', (second: number) => (second < 25 ? second : 0)],
    ['it comes down', (second: number) => 600 - second],
  ] as const)('[SLO-6] sees none when %s', (_what, waitingAt) => {
    expect(growths(600, waitingAt)).toBe(0);
  });

  it('[SLO-6] a queue that falls once, or rises twice at most, does not grow', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 7, maxLength: 7 }), (floors) => {
        const queue = new QueueGrowth();
        const begins = floors.map((floor) => queue.add(floor));
        const steps = floors.slice(1).map((floor, index) => floor - floors[index]!);
        const rises = steps.filter((step) => step > 0).length;
        expect(begins.at(-1)).toBe(rises >= 3 && steps.every((step) => step >= 0));
        expect(begins.slice(0, -1)).not.toContain(true);
      }),
    );
  });
});
