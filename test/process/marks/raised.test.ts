import { endianness } from 'node:os';
import { describe, expect, it } from 'vitest';
import { readOwner } from '../../../src/process/marks/mark-reader.js';
import { isRaised } from '../../../src/process/marks/raised.js';

const [AT_NULL, AT_PHDR, AT_PAGESZ, AT_UID, AT_EUID, AT_SECURE] = [0, 3, 6, 11, 12, 23];
const [MALLORY, ALICE] = [2_001, 2_002];

/** /proc/PID/auxv of a program with numbers of `size` bytes. */
function note(size: 4 | 8, user: number, effective: number, secure: number): Buffer {
  const entries = [
    [AT_PHDR, 0x0804_8034],
    [AT_PAGESZ, 4_096],
    [AT_UID, user],
    [AT_EUID, effective],
    [AT_SECURE, secure],
    [AT_NULL, 0],
  ].flat();
  const buffer = Buffer.alloc(entries.length * size);
  for (const [index, value] of entries.entries()) {
    const at = index * size;
    if (size === 4) buffer[endianness() === 'LE' ? 'writeUInt32LE' : 'writeUInt32BE'](value, at);
    else buffer[endianness() === 'LE' ? 'writeBigUInt64LE' : 'writeBigUInt64BE'](BigInt(value), at);
  }
  return buffer;
}

const never = () => {
  throw new Error('the groups are not asked for');
};

describe.each([4, 8] as const)('a program with numbers of %i bytes', (size) => {
  it.each([
    ['a setuid program of root that another user has started', MALLORY, 0, 1, 0, true],
    ['a setuid program of a user', MALLORY, ALICE, 1, ALICE, true],
    ['a program with capabilities that has become root', MALLORY, MALLORY, 1, 0, true],
    ['a setuid program that has gone back to the user that started it', MALLORY, 0, 1, MALLORY, false],
    ['a setgid program', MALLORY, MALLORY, 1, MALLORY, false],
    ['a setuid program that root has started', 0, ALICE, 1, ALICE, false],
    ['a program that root has started, and that has become a user', 0, 0, 0, ALICE, false],
    ['any other', ALICE, ALICE, 0, ALICE, false],
    // In a user namespace, where the user has another number.
    ['one in a user namespace', 65_534, 65_534, 0, ALICE, false],
  ] as const)('[SETUID-1] %s', (_what, user, effective, secure, now, expected) => {
    expect(isRaised(note(size, user, effective, secure), now, never)).toBe(expected);
  });
});

describe('a process that does not show who has started it', () => {
  it.each([undefined, Buffer.alloc(0), Buffer.alloc(16), Buffer.alloc(368, 255)])(
    '[SETUID-1] is one of ours only with our groups',
    (shown) => {
      expect([true, false].map((has) => isRaised(shown, ALICE, () => has))).toEqual([false, true]);
    },
  );
});

it('[SETUID-1] this process was raised by no program', () => {
  expect(readOwner('self')).toMatchObject({ isRaised: false, user: process.geteuid?.() });
});
