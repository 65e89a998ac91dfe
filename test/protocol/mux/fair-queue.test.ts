import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../../src/protocol/mux/fair-queue.js';

const SENDERS = ['a', 'b', 'c', 'd'] as const;
type Sender = (typeof SENDERS)[number];
type Item = `${Sender}${number}`;

/** Takes out all that is there. */
function empty(queue: FairQueue<string, string>): string[] {
  const items: string[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

const operation = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('push' as const), sender: fc.constantFrom(...SENDERS) }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('shift' as const), sender: fc.constantFrom(...SENDERS) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('unshift' as const),
      sender: fc.constantFrom(...SENDERS),
      count: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('drop' as const), sender: fc.constantFrom(...SENDERS) }) },
);

describe('FairQueue', () => {
  it('[FLOW-1] takes one of each sender that has any, in turn', () => {
    const queue = new FairQueue<string, string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) queue.push(item.charAt(0), item);
    expect(empty(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
    expect(queue.isEmpty).toBe(true);
    expect(queue.shift()).toBeUndefined();
  });

  it('[FLOW-1] [FLOW-2] lets a newcomer wait for one item of each of the others, however many they have', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.nat({ max: 40 }),
        (counts, taken) => {
          const queue = new FairQueue<number, number>();
          counts.forEach((count, sender) => {
            for (let item = 0; item < count; item++) queue.push(sender, sender);
          });
          for (let item = 0; item < taken; item++) queue.shift();
          const others = counts.filter((_, sender) => queue.has(sender)).length;
          queue.push(-1, -1);
          let before = 0;
          while (queue.shift() !== -1) before += 1;
          expect(before).toBeLessThanOrEqual(others);
        },
      ),
    );
  });

  it('[FLOW-1] is fair: while two have items, neither gets more than one ahead of the other', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 100, size: 'max' }), (operations) => {
        const queue = new FairQueue<Sender, Item>();
        const lines = new Map<Sender, Item[]>(SENDERS.map((sender) => [sender, []]));
        /** How many items of others were taken while a sender has waited for its next turn. */
        const passed = new Map<Sender, Map<Sender, number>>();
        let next = 1;
        for (const step of operations) {
          const { sender } = step;
          const line = lines.get(sender) ?? [];
          if (line.length === 0) passed.set(sender, new Map());
          if (step.does === 'push') {
            const item: Item = `${sender}${next++}`;
            line.push(item);
            queue.push(sender, item);
          } else if (step.does === 'unshift') {
            const items = Array.from({ length: step.count }, (): Item => `${sender}${next++}`);
            line.unshift(...items);
            queue.unshift(sender, items);
          } else if (step.does === 'drop') {
            expect(queue.drop(sender)).toEqual(line);
            lines.set(sender, []);
          } else {
            const item = queue.shift();
            if (item === undefined) {
              expect([...lines.values()].flat()).toEqual([]);
              continue;
            }
            const sender = item.charAt(0) as Sender;
            // The order of one sender is kept.
            expect(item).toBe(lines.get(sender)?.shift());
            passed.set(sender, new Map());
            for (const [other, items] of lines) {
              if (other === sender || items.length === 0) continue;
              const count = (passed.get(other)?.get(sender) ?? 0) + 1;
              passed.get(other)?.set(sender, count);
              expect(count, `${other} waits while ${sender} goes again`).toBeLessThanOrEqual(1);
            }
          }
          for (const [one, items] of lines) expect(queue.has(one)).toBe(items.length > 0);
          expect(queue.isEmpty).toBe([...lines.values()].every((items) => items.length === 0));
        }
        expect(empty(queue as FairQueue<string, string>).sort()).toEqual([...lines.values()].flat().sort());
      }),
      { numRuns: 500 },
    );
  });

  it('[FAIL-1] puts back what was lost before all others of its sender, and takes no turn from any other', () => {
    const queue = new FairQueue<string, string>();
    for (const item of ['a3', 'b1', 'a4']) queue.push(item.charAt(0), item);
    queue.unshift('a', ['a1', 'a2']);
    queue.unshift('c', ['c1']);
    queue.unshift('d', []);
    expect(queue.has('d')).toBe(false);
    expect(empty(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'a3', 'a4']);
  });

  it('[SHARE-4] drops all of a sender, which begins anew at the end of the turns', () => {
    const queue = new FairQueue<string, string>();
    for (const item of ['a1', 'b1', 'a2']) queue.push(item.charAt(0), item);
    expect(queue.drop('a')).toEqual(['a1', 'a2']);
    expect(queue.drop('a')).toEqual([]);
    expect(queue.has('a')).toBe(false);
    queue.push('a', 'a3');
    expect(empty(queue)).toEqual(['b1', 'a3']);
    queue.push('a', 'a4');
    queue.drop('a');
    expect(queue.isEmpty).toBe(true);
    expect(queue.shift()).toBeUndefined();
  });

  it('[FLOW-2] keeps the order of many', () => {
    const queue = new FairQueue<string, string>();
    const many = Array.from({ length: 10_000 }, (_, index) => `a${index}`);
    const taken: (string | undefined)[] = [];
    for (const [index, item] of many.entries()) {
      queue.push('a', item);
      if (index % 3 === 0) taken.push(queue.shift());
    }
    expect([...taken, ...empty(queue)]).toEqual(many);
  });
});
