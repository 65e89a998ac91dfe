import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock, Timer } from '../../src/runtime/clock.js';
import { type Due, DueTimer, DueTimes, newDue } from '../../src/runtime/due-times.js';
import { ManualClock } from '../helpers/clock.js';

function rethrow(fault: unknown): void {
  throw fault;
}

const DUES = 8;
const LONGEST = 30;

type Change =
  | { readonly do: 'set' | 'noLaterThan'; readonly which: number; readonly in: number }
  | { readonly do: 'delete'; readonly which: number };
type Step = Change | { readonly do: 'advance'; readonly ms: number };

const delay = fc.oneof(
  { weight: 9, arbitrary: fc.nat(LONGEST) },
  { weight: 1, arbitrary: fc.constant(Number.POSITIVE_INFINITY) },
);
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({
    do: fc.constantFrom('set' as const, 'noLaterThan' as const),
    which: fc.nat(DUES - 1),
    in: delay,
  }),
  fc.record({ do: fc.constant('delete' as const), which: fc.nat(DUES - 1) }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: change },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(LONGEST) }) },
);

/** The same as a list that is searched each time. */
class Model {
  readonly set = new Map<number, { at: number; order: number }>();
  readonly called: number[] = [];
  #order = 0;

  get next(): number {
    return Math.min(...[...this.set.values()].map(({ at }) => at));
  }

  change(what: Change, now: number): void {
    if (what.do === 'delete') this.set.delete(what.which);
    else if (what.do === 'set' || !(now + what.in >= (this.set.get(what.which)?.at ?? Infinity))) {
      this.set.delete(what.which);
      this.#order += 1;
      if (what.in !== Infinity) this.set.set(what.which, { at: now + what.in, order: this.#order });
    }
  }

  run(now: number, onDue: (which: number) => void): void {
    const due = [...this.set].filter(([, { at }]) => at <= now);
    due.sort(([, a], [, b]) => a.at - b.at || a.order - b.order);
    for (const [which] of due) this.set.delete(which);
    for (const [which] of due) {
      if (this.set.has(which)) continue;
      this.called.push(which);
      onDue(which);
    }
  }
}

describe('due times', () => {
  it('are run as a list would be that is sorted by time, then by when they were set; also when they change each other', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.array(fc.array(change, { maxLength: 3 }), { minLength: DUES, maxLength: DUES }),
        (steps, onDue) => {
          let now = 0;
          const dueTimes = new DueTimes();
          const model = new Model();
          const called: number[] = [];
          const make = (what: Change) => {
            const due = dues[what.which] as Due;
            if (what.do === 'delete') dueTimes.delete(due);
            else dueTimes[what.do](due, now + what.in);
          };
          const dues = onDue.map((changes, which) =>
            newDue((at) => {
              expect(at).toBe(now);
              called.push(which);
              for (const what of changes) make(what);
            }),
          );
          for (const next of steps) {
            if (next.do === 'advance') {
              now += next.ms;
              dueTimes.run(now, rethrow);
              model.run(now, (which) => {
                for (const what of onDue[which] ?? []) model.change(what, now);
              });
            } else {
              make(next);
              model.change(next, now);
            }
            expect(called).toEqual(model.called);
            expect(dueTimes.next).toBe(model.next);
          }
        },
      ),
    );
  });

  it('that are equal come in the order in which they were set last', () => {
    const dueTimes = new DueTimes();
    const called: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => newDue(() => called.push(name))) as [Due, Due, Due];
    for (const due of [a, b, c]) dueTimes.set(due, 10);
    dueTimes.set(a, 10);
    dueTimes.noLaterThan(b, 10);
    dueTimes.run(10, rethrow);
    expect(called).toEqual(['b', 'c', 'a']);
  });

  it('that are set for now while they are run wait for the next run', () => {
    const dueTimes = new DueTimes();
    let calls = 0;
    const again: Due = newDue((now) => {
      calls += 1;
      dueTimes.set(again, now);
    });
    dueTimes.set(again, 5);
    dueTimes.run(5, rethrow);
    expect([calls, dueTimes.next]).toEqual([1, 5]);
    dueTimes.run(5, rethrow);
    expect(calls).toBe(2);
  });

  it('that one before them has set anew are not called twice', () => {
    const dueTimes = new DueTimes();
    const called: string[] = [];
    const second = newDue(() => called.push('second'));
    const first = newDue(() => {
      called.push('first');
      dueTimes.set(second, 20);
    });
    dueTimes.set(first, 9);
    dueTimes.set(second, 10);
    dueTimes.run(10, rethrow);
    expect(called).toEqual(['first']);
    dueTimes.run(20, rethrow);
    expect(called).toEqual(['first', 'second']);
  });

  it('are brought forward by noLaterThan, and never put off', () => {
    const dueTimes = new DueTimes();
    const due = newDue(() => {});
    dueTimes.noLaterThan(due, 20);
    dueTimes.noLaterThan(due, 30);
    expect(dueTimes.next).toBe(20);
    dueTimes.noLaterThan(due, 10);
    expect(dueTimes.next).toBe(10);
    dueTimes.set(due, 40);
    expect(dueTimes.next).toBe(40);
    dueTimes.set(due, Infinity);
    expect([dueTimes.next, due.place]).toEqual([Infinity, -1]);
  });
});

/** A timer with what it needs; `early` ms too early is when its clock calls it. */
function setUpTimer({ early = 0 } = {}) {
  const clock = new ManualClock();
  const started = clock.now();
  const set: number[] = [];
  const hurried: Clock = {
    now: () => clock.now(),
    after: (ms: number, task: () => void, hold?: 'holding'): Timer => {
      set.push(ms);
      expect(hold).toBeUndefined();
      // No timer of Node is shorter than 1 ms.
      return clock.after(Math.max(1, ms - early), task);
    },
  };
  const dueTimes = new DueTimes();
  const looks: number[] = [];
  const called: [string, number][] = [];
  const timer: DueTimer = new DueTimer(hurried, dueTimes, () => {
    looks.push(clock.now() - started);
    dueTimes.run(clock.now(), rethrow);
    timer.set();
  });
  const due = (name: string) => newDue(() => called.push([name, clock.now() - started]));
  const at = (ms: number) => started + ms;
  return { at, called, clock, due, dueTimes, looks, set, timer };
}

describe('a due timer', () => {
  it('is one, for what falls due first, however many times are set', () => {
    const { at, called, clock, due, dueTimes, set, timer } = setUpTimer();
    for (const [name, ms] of [
      ['c', 300],
      ['a', 100],
      ['b', 200],
    ] as const) {
      dueTimes.set(due(name), at(ms));
      timer.set();
      expect(clock.pending).toBe(1);
    }
    expect(set).toEqual([300, 100]);
    clock.advance(300);
    expect(called).toEqual([
      ['a', 100],
      ['b', 200],
      ['c', 300],
    ]);
    expect(clock.pending).toBe(0);
  });

  it('does not exist while nothing falls due', () => {
    const { clock, timer } = setUpTimer();
    timer.set();
    expect(clock.pending).toBe(0);
  });

  it('that was set for something that does not fall due any more looks, and sets the next', () => {
    const { at, called, clock, due, dueTimes, looks, set, timer } = setUpTimer();
    const gone = due('gone');
    dueTimes.set(gone, at(100));
    dueTimes.set(due('stays'), at(200));
    timer.set();
    dueTimes.delete(gone);
    timer.set();
    expect(set).toEqual([100]);
    clock.advance(500);
    expect(looks).toEqual([100, 200]);
    expect(called).toEqual([['stays', 200]]);
    expect(clock.pending).toBe(0);
  });

  it('that is called too early looks again when it is time', () => {
    const { at, called, clock, due, dueTimes, looks, timer } = setUpTimer({ early: 1 });
    dueTimes.set(due('a'), at(100));
    timer.set();
    clock.advance(99);
    expect([looks, called]).toEqual([[99], []]);
    clock.advance(1);
    expect(called).toEqual([['a', 100]]);
    expect(clock.pending).toBe(0);
  });

  it('that is stopped never calls again, whatever is set after that', () => {
    const { at, called, clock, due, dueTimes, timer } = setUpTimer();
    const before = due('before');
    dueTimes.set(before, at(100));
    timer.set();
    timer.stop();
    expect([clock.pending, dueTimes.next, before.place]).toEqual([0, Infinity, -1]);
    dueTimes.set(due('after'), at(50));
    timer.set();
    expect(clock.pending).toBe(0);
    clock.advance(1_000);
    expect(called).toEqual([]);
  });
});
