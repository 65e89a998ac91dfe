import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Heap, type HeapItem } from '../../src/runtime/heap.js';

interface Item extends HeapItem {
  readonly name: number;
}

/** Few items and few ranks, so that equal ranks and repeated changes of one item are frequent. */
const ITEMS = 24;
const rank = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.double({ noNaN: true }));
const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('set' as const), which: fc.nat(ITEMS - 1), rank }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat(ITEMS - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), which: fc.constant(0) }) },
);

function newItems(): Item[] {
  return Array.from({ length: ITEMS }, (_, name) => ({ name, rank: 0, place: -1 }));
}

/** Takes everything out, the first each time. */
function drain(heap: Heap<Item>): Item[] {
  const drained: Item[] = [];
  for (let { first } = heap; first !== undefined; first = heap.first) {
    drained.push(first);
    expect(heap.delete(first)).toBe(true);
  }
  return drained;
}

describe('a heap', () => {
  it('has the least rank first, and knows where each item is, after any changes', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 120 }), (changes) => {
        const heap = new Heap<Item>();
        const items = newItems();
        const model = new Map<Item, number>();
        for (const next of changes) {
          const item = items[next.which] as Item;
          if (next.do === 'clear') {
            heap.clear();
            model.clear();
          } else if (next.do === 'set') {
            heap.set(item, next.rank);
            model.set(item, next.rank);
          } else {
            expect(heap.delete(item)).toBe(model.delete(item));
          }
          expect(heap.size).toBe(model.size);
          expect(heap.first?.rank).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
          for (const each of items) if (!model.has(each)) expect(each.place).toBe(-1);
          for (const [each, its] of model) expect(each.rank).toBe(its);
          const places = [...model.keys()].map(({ place }) => place).sort((a, b) => a - b);
          expect(places).toEqual([...places.keys()]);
        }
        const drained = drain(heap);
        expect(drained.map((item) => model.get(item))).toEqual([...model.values()].sort((a, b) => a - b));
        expect(new Set(drained)).toEqual(new Set(model.keys()));
        expect(items.every(({ place }) => place === -1)).toBe(true);
      }),
    );
  });

  it('keeps its order when an item in the middle is taken out, whichever comes into its place', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: ITEMS }),
        fc.array(fc.nat(ITEMS - 1)),
        (ranks, gone) => {
          const heap = new Heap<Item>();
          const items = newItems().slice(0, ranks.length);
          for (const item of items) heap.set(item, ranks[item.name] as number);
          const left = new Set(items);
          for (const which of gone) {
            const item = items[which % items.length] as Item;
            heap.delete(item);
            left.delete(item);
          }
          const expected = [...left].map((item) => item.rank).sort((a, b) => a - b);
          expect(drain(heap).map((item) => item.rank)).toEqual(expected);
        },
      ),
    );
  });

  it('says of an item that is not there that it was not there, and changes nothing', () => {
    const heap = new Heap<Item>();
    const [first, second] = newItems() as [Item, Item];
    heap.set(first, 1);
    expect(heap.delete(second)).toBe(false);
    expect(heap.delete(first)).toBe(true);
    expect(heap.delete(first)).toBe(false);
    expect(heap.size).toBe(0);
    expect(heap.first).toBeUndefined();
  });
});
