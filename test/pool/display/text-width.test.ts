import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutTo, fitted, printable, widthOf } from '../../../src/pool/display/text-width.js';

describe('the width of a text in a terminal', () => {
  it.each([
    ['files', 5],
    ['', 0],
    ['メモ帳', 6],
    ['日本', 4],
    ['한국어', 6],
    ['ｱｲ', 2],
    ['Ａ', 2],
    ['Ünïcode', 7],
    // The same with combining marks.
    ['U\u0308ni\u0308code', 7],
    ['नमस्ते', 4],
    ['שלום', 4],
    ['🚀', 2],
    ['✅', 2],
    ['❤', 1],
    ['🇫🇷', 2],
    ['𠮷', 2],
    ['…', 1],
  ])('[DISPLAY-3] %s', (text, width) => {
    expect(widthOf(printable(text))).toBe(width);
  });

  it.each([
    ['a family is its members: some terminals join them, and some do not', '👨‍👩‍👧', '👨👩👧'],
    ['without its skin tone', '👍🏽', '👍'],
    ['without the selector of its form', '❤\ufe0f', '❤'],
    ['without what has no width', 'a\u200bb\u2060c\ufeffd\u00ade', 'abcde'],
  ])('[DISPLAY-3] is the same on every terminal: %s', (_what, text, shown) => {
    expect(printable(text)).toBe(shown);
  });
});

describe('a text of a server or a host in a terminal', () => {
  it.each([
    ['\u001b[2J', '\\u001b[2J'],
    ['a\nb\r\tc', 'a\\u000ab\\u000d\\u0009c'],
    ['\u009b31m', '\\u009b31m'],
    ['\u202eabc', '\\u202eabc'],
    ['a\u2028b', 'a\\u2028b'],
    ['\ud800', '\\ud800'],
  ])('[DISPLAY-2] has codes for what would change it: %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('[DISPLAY-2] fills its column exactly, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 0, max: 30 }), (text, width) => {
        for (const align of ['left', 'right'] as const) {
          const cell = fitted(text, width, align);
          expect(widthOf(cell)).toBe(width);
          expect(cell).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        }
      }),
    );
  });

  it.each([
    ['left', 'ab  '],
    ['right', '  ab'],
  ] as const)('[DISPLAY-3] aligned to the %s', (align, cell) => {
    expect(fitted('ab', 4, align)).toBe(cell);
  });

  it.each([
    ['abcdef', 6, 'abcdef'],
    ['abcdef', 5, 'abcd…'],
    ['abcdef', 1, '…'],
    ['abcdef', 0, ''],
    // No half of a wide character.
    ['日本語', 5, '日本…'],
    ['日本語', 4, '日…'],
    // With its marks, or not at all.
    ['ae\u0301xyz', 3, 'ae\u0301…'],
  ])('[DISPLAY-1] %s is cut to %i columns', (text, width, shown) => {
    expect(cutTo(text, width)).toBe(shown);
  });
});
