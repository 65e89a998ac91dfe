import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Waiter, WaitingClass, WaitingServer } from '../../../src/pool/acquire/waiter.js';
import { LeaseClass, ServerEntry } from '../../../src/pool/instances/server-entry.js';

const request = {
  tenant: undefined,
  owner: undefined,
  variant: undefined,
  timeout: 0,
  signal: undefined,
  reuseLease: false,
};
let arrivals = 0;
const newWaiter = () => new Waiter('a', request, undefined, 0, ++arrivals, () => {});

function setUp() {
  const entry = new ServerEntry('a');
  return new WaitingClass(new LeaseClass(entry, ''), new WaitingServer(entry), () => {});
}

type Step =
  | { readonly do: 'add' }
  | { readonly do: 'remove'; readonly which: number }
  | { readonly do: 'seats' | 'claimed'; readonly to: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('add' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), which: fc.nat(20) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('seats' as const, 'claimed' as const), to: fc.nat(6) }),
  },
);

/** What a list says that is counted anew each time. */
function compare(waiting: WaitingClass, list: readonly Waiter[]): void {
  const covered = waiting.seats + waiting.claimed;
  expect([...waiting]).toEqual(list);
  expect(waiting.first).toBe(list[0]);
  expect(waiting.count).toBe(list.length);
  expect(waiting.next).toBe(list[covered]);
  expect(list.map((waiter) => waiting.isCovered(waiter))).toEqual(list.map((_, index) => index < covered));
  expect(waiting.withoutStart).toBe(Math.max(0, list.length - waiting.seats));
  expect(list.every(({ queuedIn }) => queuedIn === waiting)).toBe(true);
}

describe('the callers of a class', () => {
  it('[QUEUE-1] [QUEUE-2] are as a list of which so many are covered as there are seats and claimed slots', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const waiting = setUp();
        const list: Waiter[] = [];
        for (const next of steps) {
          if (next.do === 'add') {
            const waiter = newWaiter();
            waiting.add(waiter);
            list.push(waiter);
          } else if (next.do === 'remove') {
            const [gone] = list.splice(next.which % Math.max(list.length, 1), 1);
            if (gone) {
              waiting.remove(gone);
              expect([gone.queuedIn, gone.previous, gone.next]).toEqual([undefined, undefined, undefined]);
            }
          } else {
            waiting[next.do] = next.to;
            waiting.cover();
          }
          compare(waiting, list);
        }
        // A caller that left can come again, as when its definition is changed: to the end.
        for (const waiter of list.splice(0)) waiting.remove(waiter);
        compare(waiting, list);
      }),
    );
  });

  it('[QUEUE-6] a seat of one that leaves is for the next one', () => {
    const waiting = setUp();
    waiting.seats = 1;
    const [first, second, third] = [newWaiter(), newWaiter(), newWaiter()];
    for (const waiter of [first, second, third]) waiting.add(waiter);
    expect(waiting.next).toBe(second);
    waiting.remove(first);
    expect([waiting.isCovered(second), waiting.next]).toEqual([true, third]);
    waiting.remove(third);
    expect([waiting.isCovered(second), waiting.next]).toEqual([true, undefined]);
  });
});
