import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Outbox } from '../../src/runtime/outbox.js';

/** What an operation does, and what a task does: pushes a task, or runs an operation within it. */
type Step =
  | { readonly do: 'push'; readonly adds: readonly Step[] }
  | { readonly do: 'operation'; readonly steps: readonly Step[]; readonly throws: boolean };

const { steps } = fc.letrec<{ steps: Step[]; step: Step }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 4, depthIdentifier: 'steps' }),
  step: fc.oneof(
    { depthIdentifier: 'steps', maxDepth: 4 },
    fc.record({ do: fc.constant('push' as const), adds: fc.constant([]) }),
    fc.record({ do: fc.constant('push' as const), adds: tie('steps') as fc.Arbitrary<Step[]> }),
    fc.record({
      do: fc.constant('operation' as const),
      steps: tie('steps') as fc.Arbitrary<Step[]>,
      throws: fc.boolean(),
    }),
  ),
}));

describe('an outbox', () => {
  it('[EVENT-3] runs a task at once when no operation is under way', () => {
    const outbox = new Outbox();
    const ran: string[] = [];
    outbox.push(() => ran.push('a'));
    expect(ran).toEqual(['a']);
  });

  it('[EVENT-3] runs tasks in order, when the outermost operation is complete', () => {
    const outbox = new Outbox();
    const ran: string[] = [];
    outbox.hold();
    outbox.push(() => ran.push('a'));
    outbox.hold();
    outbox.push(() => ran.push('b'));
    outbox.release();
    outbox.push(() => ran.push('c'));
    expect(ran).toEqual([]);
    outbox.release();
    expect(ran).toEqual(['a', 'b', 'c']);
  });

  it('[EVENT-5] runs what a task adds, itself or in an operation of its own, after the rest', () => {
    const outbox = new Outbox();
    const ran: string[] = [];
    outbox.hold();
    outbox.push(() => {
      outbox.hold();
      outbox.push(() => ran.push('in an operation'));
      outbox.release();
      outbox.push(() => ran.push('directly'));
      ran.push('first');
    });
    outbox.push(() => ran.push('second'));
    outbox.release();
    expect(ran).toEqual(['first', 'second', 'in an operation', 'directly']);
  });

  it('[EVENT-3] runs what was pushed before an operation threw, once, and works on', () => {
    const outbox = new Outbox();
    const ran: string[] = [];
    expect(() => {
      outbox.hold();
      try {
        outbox.push(() => ran.push('before'));
        throw new Error('in the operation');
      } finally {
        outbox.release();
      }
    }).toThrow('in the operation');
    expect(ran).toEqual(['before']);
    outbox.push(() => ran.push('after'));
    expect(ran).toEqual(['before', 'after']);
  });

  it('works on after a task that threw, although none should', () => {
    const outbox = new Outbox();
    const ran: string[] = [];
    const fault = () => {
      throw new Error('in a task');
    };
    expect(() => outbox.push(fault)).toThrow('in a task');
    outbox.push(() => ran.push('after'));
    expect(ran).toEqual(['after']);
  });

  it('[EVENT-3] [EVENT-5] runs each task once, in the order of their pushes and never within an operation', () => {
    fc.assert(
      fc.property(steps, (program) => {
        const outbox = new Outbox();
        const pushed: number[] = [];
        const ran: number[] = [];
        let depth = 0;
        let running = false;
        const run = (step: Step): void => {
          if (step.do === 'push') {
            const number = pushed.length;
            pushed.push(number);
            outbox.push(() => {
              expect([depth, running]).toEqual([0, false]);
              running = true;
              ran.push(number);
              for (const next of step.adds) run(next);
              running = false;
            });
            return;
          }
          depth += 1;
          outbox.hold();
          try {
            for (const next of step.steps) run(next);
            if (step.throws) throw new Error('expected');
          } catch (error) {
            expect(error).toEqual(new Error('expected'));
          } finally {
            depth -= 1;
            outbox.release();
          }
        };
        for (const next of program) run(next);
        expect(ran).toEqual(pushed);
      }),
    );
  });
});
