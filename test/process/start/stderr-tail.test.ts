import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StderrTail } from '../../../src/process/start/stderr-tail.js';
import { split } from '../../helpers/split.js';

/** The lines that come out of `chunks`. */
function linesOf(chunks: readonly Buffer[]): string[] {
  const lines: string[] = [];
  const tail = new StderrTail(65_536);
  for (const chunk of chunks) tail.push(chunk, (line) => lines.push(line));
  tail.flush((line) => lines.push(line));
  return lines;
}

describe('StderrTail', () => {
  it('[SPAWN-7] gives the same lines however the stream is cut, also within a character', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\n', '\n', ' '), maxLength: 60 });
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.integer({ min: 1, max: 7 })), (written, sizes) => {
        const expected = written.split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(linesOf(split(Buffer.from(written), sizes))).toEqual(expected);
      }),
    );
  });

  it('[SPAWN-7] takes off a carriage return, and gives out a last line without a line break', () => {
    expect(linesOf([Buffer.from('one\r\ntwo\n\nthr'), Buffer.from('ee')])).toEqual(['one', 'two', '', 'three']);
  });

  it('[SPAWN-7] gives out a line without an end in parts', () => {
    const parts = linesOf([Buffer.from('x'.repeat(10_000)), Buffer.from('x'.repeat(10_000))]);
    expect(parts.join('')).toBe('x'.repeat(20_000));
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(8_192);
  });

  it('[SPAWN-7] keeps the last bytes, at most the limit', () => {
    const tail = new StderrTail(10);
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 25 })),
        (texts) => {
          const fresh = new StderrTail(10);
          for (const text of texts) fresh.push(Buffer.from(text));
          expect(fresh.toString()).toBe(texts.join('').slice(-10));
        },
      ),
    );
    for (let round = 0; round < 1_000; round++) tail.push(Buffer.from('0123456'));
    expect(tail.toString()).toBe('4560123456');
  });

  it('[SPAWN-7] begins with whole lines when a listener comes late', () => {
    const lines: string[] = [];
    const tail = new StderrTail(100);
    tail.push(Buffer.from('before\nhalf'));
    tail.push(Buffer.from(' a line\nwhole\n'), (line) => lines.push(line));
    expect(lines.at(-1)).toBe('whole');
    expect(tail.toString()).toBe('before\nhalf a line\nwhole\n');
  });
});
