import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AbortListeners } from '../../src/runtime/abort-listeners.js';

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

const SIGNALS = 3;
const CALLERS = 6;
type Step =
  | { readonly do: 'add' | 'delete'; readonly caller: number; readonly signal: number }
  | { readonly do: 'abort'; readonly signal: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('add' as const, 'delete' as const),
      caller: fc.nat(CALLERS - 1),
      signal: fc.nat(SIGNALS - 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), signal: fc.nat(SIGNALS - 1) }) },
);

describe('abort listeners', () => {
  it('[QUEUE-6] are one for each signal with callers, and call exactly these', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const listeners = new AbortListeners<number>();
        const controllers = Array.from({ length: SIGNALS }, () => new AbortController());
        const model = controllers.map(() => new Set<number>());
        const called: [number, number, unknown][] = [];
        for (const next of steps) {
          const { signal } = controllers[next.signal] as AbortController;
          const callers = model[next.signal] as Set<number>;
          if (next.do === 'add' && !signal.aborted) {
            const { caller } = next;
            listeners.add(signal, caller, (reason) => called.push([next.signal, caller, reason]));
            callers.add(caller);
          } else if (next.do === 'delete') {
            listeners.delete(signal, next.caller);
            callers.delete(next.caller);
          } else if (next.do === 'abort' && !signal.aborted) {
            controllers[next.signal]?.abort('enough');
            expect(called).toEqual([...callers].map((caller) => [next.signal, caller, 'enough']));
            called.length = 0;
          }
          for (const [index, { signal: each }] of controllers.entries()) {
            if (!each.aborted) expect(listenersOf(each)).toBe(model[index]?.size === 0 ? 0 : 1);
          }
        }
        expect(called).toEqual([]);
      }),
    );
  });

  it('[QUEUE-6] call all of a signal, in order, also when each of them leaves as it is called', () => {
    const listeners = new AbortListeners<string>();
    const abort = new AbortController();
    const called: string[] = [];
    for (const caller of ['a', 'b', 'c']) {
      listeners.add(abort.signal, caller, () => {
        called.push(caller);
        listeners.delete(abort.signal, caller);
      });
    }
    abort.abort();
    expect(called).toEqual(['a', 'b', 'c']);
    expect(listenersOf(abort.signal)).toBe(0);
  });
});
