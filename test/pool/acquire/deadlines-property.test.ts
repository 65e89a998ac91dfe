import { queryObjects } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Deadlines, type Expiring } from '../../../src/pool/acquire/deadlines.js';
import { type Due, DueTimer, DueTimes } from '../../../src/runtime/due-times.js';
import { ManualClock } from '../../helpers/clock.js';

function rethrow(fault: unknown): void {
  throw fault;
}

interface Item extends Expiring {
  readonly number: number;
  readonly timeout: number;
  readonly at: number;
}

/** Deadlines with the timer that a pool has for them. */
function setUp(onExpired: (item: Item) => void = () => {}) {
  const clock = new ManualClock(0);
  const dueTimes = new DueTimes();
  const expired: Item[] = [];
  const timer: DueTimer = new DueTimer(clock, dueTimes, () => {
    dueTimes.run(clock.now(), rethrow);
    timer.set();
  });
  const deadlines = new Deadlines<Item>(dueTimes, (item) => {
    expect(clock.now()).toBe(item.at);
    expired.push(item);
    onExpired(item);
  });
  let number = 0;
  const add = (timeout: number): Item => {
    const at = clock.now() + timeout;
    const item: Item = { number: number++, timeout, at, deadline: at, sooner: undefined, later: undefined };
    deadlines.add(item, timeout);
    timer.set();
    return item;
  };
  const remove = (item: Item) => deadlines.delete(item, item.timeout);
  return { add, clock, dueTimes, expired, remove };
}

const timeout = fc.constantFrom(0, 5, 10, 30, 1_000, Number.POSITIVE_INFINITY);
type Step =
  | { readonly do: 'add'; readonly timeout: number }
  | { readonly do: 'remove'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number };
const simple: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), timeout }),
  fc.record({ do: fc.constant('remove' as const), which: fc.nat(40) }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: simple },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(40) }) },
);

describe('deadlines', () => {
  it('[QUEUE-5] expire each at its time, in order, unless they were removed; also when one that expires adds and removes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(simple, { maxLength: 20 }), (steps, onExpired) => {
        const waiting = new Set<Item>();
        const then = [...onExpired];
        const make = (next: Step) => {
          const item = next.do === 'remove' ? [...waiting][next.which % Math.max(waiting.size, 1)] : undefined;
          if (next.do === 'add') waiting.add(add(next.timeout));
          else if (next.do === 'advance') clock.advance(next.ms);
          else if (item) {
            waiting.delete(item);
            remove(item);
            // A second time changes nothing.
            remove(item);
          }
        };
        const { add, clock, dueTimes, expired, remove } = setUp((item) => {
          expect(waiting.delete(item)).toBe(true);
          const next = then.shift();
          if (next) make(next);
        });
        for (const next of steps) {
          make(next);
          for (const item of waiting) expect(item.deadline).toBe(item.at);
          if (next.do === 'advance') expect([...waiting].filter(({ at }) => at < clock.now())).toEqual([]);
        }
        clock.advance(10_000);
        expect([...waiting].filter(({ at }) => at < Infinity)).toEqual([]);
        expect(expired.map(({ at }) => at)).toEqual(expired.map(({ at }) => at).sort((a, b) => a - b));
        expect(new Set(expired).size).toBe(expired.length);
        // Nothing is looked at any more.
        expect([dueTimes.next, clock.pending]).toEqual([Infinity, 0]);
      }),
    );
  });

  it('[QUEUE-5] of one timeout expire in the order in which they came, also in one tick', () => {
    const { add, clock, expired } = setUp();
    const items = Array.from({ length: 5 }, () => add(10));
    clock.advance(10);
    expect(expired).toEqual(items);
  });

  it('look at the first that is left, when those before it are gone', () => {
    const { add, clock, expired, remove } = setUp();
    const first = add(10);
    clock.advance(4);
    const middle = add(10);
    clock.advance(2);
    const last = add(10);
    remove(middle);
    remove(first);
    clock.advance(9);
    expect(expired).toEqual([]);
    clock.advance(1);
    expect(expired).toEqual([last]);
    expect(clock.pending).toBe(0);
  });

  it('without an end set no timer', () => {
    const { add, clock } = setUp();
    add(Infinity);
    expect(clock.pending).toBe(0);
  });

  it('forget the list of a timeout once nothing has it: callers may each bring one of their own', () => {
    const { add, clock, dueTimes, remove } = setUp();
    const lists: Due[] = [];
    const { noLaterThan } = dueTimes;
    dueTimes.noLaterThan = (due, at) => {
      lists[0] ??= due;
      noLaterThan.call(dueTimes, due, at);
    };
    add(1);
    dueTimes.noLaterThan = noLaterThan;
    const List = lists.pop()?.constructor as new () => unknown;
    for (let timeout = 2; timeout <= 200; timeout++) {
      const item = add(timeout);
      if (timeout % 2 === 0) remove(item);
    }
    add(10_000);
    expect(queryObjects(List)).toBeGreaterThan(100);
    clock.advance(1_000);
    expect(queryObjects(List)).toBe(1);
  });
});
