import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  environmentMatches,
  environmentValue,
  hostMark,
  type InstanceMark,
  MARK_VARIABLE,
  marksIn,
  markText,
  newHostMark,
  nextInstanceMark,
  parseHostMark,
  rlimitIn,
  rlimitMatches,
  rlimitValue,
} from '../../../src/process/marks/marker.js';

const hexadecimal = fc.constantFrom(...'0123456789abcdef');
const host = fc
  .string({ unit: hexadecimal, minLength: 32, maxLength: 32 })
  .map((text) => parseHostMark(text))
  .filter((mark) => mark !== undefined);
const instance = fc.integer({ min: 1, max: 0x7fff_ffff });
const mark: fc.Arbitrary<InstanceMark> = fc.record({ host, instance });
const environ = (...parts: string[]) => Buffer.from(parts.map((part) => `${part}\0`).join(''), 'latin1');
const limits = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max address space         unlimited            unlimited            bytes     
Max file locks            ${soft.padEnd(20)} unlimited            locks     
Max pending signals       15000                15000                signals   
`;

describe('the mark of a host', () => {
  it('[MARK-1] is made once, for all copies of the package', () => {
    expect(hostMark()).toEqual(hostMark());
    const state = (globalThis as Record<symbol, unknown>)[Symbol.for('mcp-server-pool.mark/3')];
    expect(state).toMatchObject({ secret: hostMark().secret });
    const first = nextInstanceMark();
    expect(nextInstanceMark()).toEqual({ host: hostMark(), instance: first.instance + 1 });
  });

  it('[MARK-1] begins its numbers anew, at 1, when they are used up', () => {
    const state = (globalThis as Record<symbol, { instances: number }>)[Symbol.for('mcp-server-pool.mark/3')];
    const before = state?.instances ?? 0;
    onTestFinished(() => {
      if (state) state.instances = before;
    });
    if (state) state.instances = 0x7fff_ffff;
    expect(nextInstanceMark().instance).toBe(1);
  });

  it('[MARK-1] never has the number 0', () => {
    const ids = ['0'.repeat(32), `80000000${'1'.repeat(24)}`, '01'.repeat(16)];
    const made = newHostMark(
      () => Buffer.alloc(16, 2),
      () => ids.shift() as string,
    );
    expect(made).toEqual({ secret: '02'.repeat(16), id: '01'.repeat(16), number: 0x01010101 });
    expect(ids).toEqual([]);
  });

  it.each(['', ' ', 'F'.repeat(32), `${'f'.repeat(32)}\n`, `${'f'.repeat(31)}g`, 'f'.repeat(33), '*'])(
    '[MARK-1] is refused when it was never one: %j',
    (text) => {
      expect(parseHostMark(text)).toBeUndefined();
    },
  );
});

describe('a mark', () => {
  it('[MARK-1] [MARK-7] is found in the environment it is in, among those of outer pools', () => {
    fc.assert(
      fc.property(fc.array(mark, { minLength: 1, maxLength: 15 }), fc.string(), (marks, noise) => {
        let value = '';
        for (const one of marks) value = environmentValue(one, value);
        const found = marksIn(environ(`A=${noise.replaceAll('\0', '')}`, `${MARK_VARIABLE}=${value}`, 'B=1'));
        expect(found).toEqual(marks.map(markText));
        for (const one of marks) {
          expect(environmentMatches(found, one)).toBe(true);
          expect(environmentMatches(found, { host: one.host })).toBe(true);
        }
      }),
    );
  });

  it('[MARK-1] is found as a limit', () => {
    fc.assert(
      fc.property(mark, (one) => {
        const value = rlimitIn(limits(String(rlimitValue(one))));
        expect(value).toBe(rlimitValue(one));
        expect(rlimitMatches(value ?? 0n, one) && rlimitMatches(value ?? 0n, { host: one.host })).toBe(true);
        expect(value !== undefined && value < 1n << 62n).toBe(true);
      }),
    );
  });

  it('[MARK-1] [MARK-5] is never taken for that of a neighbour', () => {
    fc.assert(
      fc.property(mark, mark, (one, other) => {
        const found = marksIn(environ(`${MARK_VARIABLE}=${environmentValue(one, '')}`));
        const sameHost = one.host.secret === other.host.secret;
        expect(environmentMatches(found, other)).toBe(sameHost && one.instance === other.instance);
        expect(environmentMatches(found, { host: other.host })).toBe(sameHost);
        const sameNumber = one.host.number === other.host.number;
        expect(rlimitMatches(rlimitValue(one), other)).toBe(sameNumber && one.instance === other.instance);
        expect(rlimitMatches(rlimitValue(one), { host: other.host })).toBe(sameNumber);
      }),
    );
  });

  it('[MARK-1] of instance 1 is none of instance 11, 10 or 0', () => {
    const one = { host: newHostMark(), instance: 1 };
    for (const number of [11, 10, 111, 0]) {
      const found = marksIn(environ(`${MARK_VARIABLE}=${markText({ ...one, instance: number })}`));
      expect(environmentMatches(found, one)).toBe(false);
    }
  });

  it('[MARK-1] is found in no other variable, and in no value', () => {
    const one = { host: newHostMark(), instance: 7 };
    const value = environmentValue(one, '');
    for (const entry of [
      `X${MARK_VARIABLE}=${value}`,
      `${MARK_VARIABLE}2=${value}`,
      `A=${MARK_VARIABLE}=${value}`,
      `${MARK_VARIABLE}`,
      `${MARK_VARIABLE}=`,
      `${MARK_VARIABLE}=x${value}`,
      `${MARK_VARIABLE}=${value}0000000000`,
      `${MARK_VARIABLE}=${value} `,
      `${MARK_VARIABLE.toLowerCase()}=${value}`,
    ]) {
      const found = marksIn(environ('PATH=/bin', entry));
      expect([entry, environmentMatches(found, one), environmentMatches(found, { host: one.host })]).toEqual([
        entry,
        false,
        false,
      ]);
    }
    // Cut off by a process that wrote over the end of its environment.
    expect(marksIn(Buffer.from(`A=1\0${MARK_VARIABLE}=${value}`))).toHaveLength(1);
  });

  it('[MARK-1] matches nothing that is empty or malformed, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), mark, (bytes, text, one) => {
        expect(marksIn(Buffer.from(bytes))).toEqual([]);
        expect(environmentMatches([text, ''], one)).toBe(false);
        expect(rlimitIn(text)).toBeUndefined();
      }),
    );
  });

  it.each(['unlimited', '0', '1', '1024', '2147483647', String(1n << 31n), String(1n << 62n), String(2n ** 64n - 2n)])(
    '[MARK-1] is not a limit that something else has set: %s',
    (soft) => {
      expect(rlimitIn(limits(soft))).toBeUndefined();
      const value = /^\d+$/.test(soft) ? BigInt(soft) : 0n;
      expect(rlimitMatches(value, { host: newHostMark() })).toBe(false);
    },
  );

  it('[MARK-7] hands on no more than 15 outer marks, and nothing that is none', () => {
    const outer = Array.from({ length: 30 }, (_, index) => markText({ host: newHostMark(), instance: index + 1 }));
    const own = { host: newHostMark(), instance: 5 };
    const marks = environmentValue(own, ['', 'nonsense', ...outer, '*'].join(':')).split(':');
    expect(marks).toEqual([...outer.slice(0, 15), markText(own)]);
  });
});
