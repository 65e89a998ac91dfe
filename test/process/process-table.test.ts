import { expect, it } from 'vitest';
import { isOlder } from '../../src/process/process-table.js';

it.each([
  [6, 7, true],
  [7, 7, false],
  [8, 7, false],
  // A part of a tick says nothing about the order.
  [7, 7 + 1 / 1024, false],
  [7 + 1 / 1024, 7, false],
  [6 + 2 / 1024, 7 + 1 / 1024, true],
])('[REUSE-3] a process that began at %s is older than one that began at %s: %s', (a, b, older) => {
  expect(isOlder({ startTime: a }, { startTime: b })).toBe(older);
});
