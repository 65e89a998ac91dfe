import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Flight } from '../../src/packages/flight.js';
import { RunTurns } from '../../src/packages/run-turns.js';
import { deferred } from '../../src/runtime/deferred.js';
import { flush, rejection } from '../helpers/until.js';

describe('[PACKAGES-14] work that several wait for', () => {
  it('ends when the last one gives up, and not before', async () => {
    const work = deferred<string>();
    let given: AbortSignal | undefined;
    const flight = new Flight((signal) => {
      given = signal;
      signal.addEventListener('abort', () => work.reject(signal.reason));
      return work.promise;
    });
    const [a, b] = [new AbortController(), new AbortController()];
    const [first, second] = [flight.join(a.signal), flight.join(b.signal)].map((one) => rejection(one));
    a.abort('a');
    expect(await first).toBe('a');
    expect([given?.aborted, flight.isGivenUp]).toEqual([false, false]);
    b.abort('b');
    expect(await second).toBe('b');
    expect([given?.reason, flight.isGivenUp]).toEqual(['b', true]);
    await flight.over;
  });

  it('gives its result to all that wait', async () => {
    const flight = new Flight(async () => 'result');
    const { signal } = new AbortController();
    expect(await Promise.all([flight.join(signal), flight.join(signal)])).toEqual(['result', 'result']);
    expect(await rejection(flight.join(AbortSignal.abort('late')))).toBe('late');
  });

  it('never more at a time than there are turns, in order, and none is lost: whoever gives up, and when', async () => {
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.record({ givesUp: fc.boolean(), at: fc.nat(5) }), { maxLength: 12 }),
      async (most, callers) => {
        const turns = new RunTurns(most);
        const order: number[] = [];
        let running = 0;
        const all = callers.map(async ({ givesUp, at }, index) => {
          const abort = new AbortController();
          const turn = turns.take(abort.signal);
          if (givesUp) void flush(at).then(() => abort.abort('given up'));
          try {
            const done = await turn;
            running += 1;
            order.push(index);
            expect(running).toBeLessThanOrEqual(most);
            await flush(1);
            running -= 1;
            done();
            done();
          } catch (error) {
            expect(error).toBe('given up');
          }
        });
        await Promise.all(all);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        const free = await Promise.all(Array.from({ length: most }, () => turns.take(new AbortController().signal)));
        for (const done of free) done();
      },
    );
    await fc.assert(property, { numRuns: 50 });
  });
});
