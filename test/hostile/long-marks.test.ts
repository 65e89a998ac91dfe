import { describe, expect, it } from 'vitest';
import { judge, type MarkReading } from '../../src/process/marks/evidence.js';
import { readMarks } from '../../src/process/marks/mark-reader.js';
import {
  environmentMatches,
  environmentValue,
  hostMark,
  MARK_VARIABLE,
  marksIn,
  markText,
  newHostMark,
} from '../../src/process/marks/marker.js';
import { SearchKnowledge } from '../../src/process/marks/search-knowledge.js';
import { tagged } from '../helpers/escapes.js';
import { memoryOf } from '../helpers/heap.js';
import { forger, MALLORY, OBSTACLE, OTHER } from './strangers.js';

// Every user can give its processes an environment of some megabytes, in which each line is one mark after the other.

const MB = 1_048_576;
/** What fits into one variable. */
const LINE = 128 * 1_024 - MARK_VARIABLE.length - 2;
const key = '0'.repeat(32);

/** As many marks as fit: of other hosts, of instances of this host, or none at all. */
const VALUES: Readonly<Record<string, (index: number) => string>> = {
  'of other hosts': (index) => `${String(index).padStart(32, 'a')}.1.${key}`,
  'of instances of this host': (index) => `${hostMark().id}.${index + 1}.${key}`,
  'that are none': (index) => `x${index}`,
  'that are empty': () => '',
};
const fullOf = (what: string) =>
  Array.from({ length: LINE }, (_, index) => VALUES[what]?.(index) ?? '')
    .join(':')
    .slice(0, LINE);
const environ = (values: readonly string[]) =>
  Buffer.from(['PATH=/bin', ...values.map((value) => `${MARK_VARIABLE}=${value}`), ''].join('\0'));

describe('an environment full of marks', () => {
  it.each(Object.keys(VALUES))('[MARK-16] %s: costs the memory of 16 marks', (what) => {
    const full = environ(Array.from({ length: 14 }, () => fullOf(what)));
    const memory = memoryOf(() => Array.from({ length: 500 }, () => marksIn(full)));
    expect(memory).toBeLessThan(2 * MB);
    expect(marksIn(full).length).toBeLessThanOrEqual(16);
    const ids = marksIn(full).map((mark) => mark.slice(0, 32));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('[MARK-16] [MARK-1] the marks that a pool has written are all found in it', () => {
    const hosts = Array.from({ length: 16 }, () => ({ host: newHostMark(), instance: 2 ** 31 - 1 }));
    const value = hosts.reduce((outer, host) => environmentValue(host, outer), '');
    // The first variable is the one that programs see.
    for (const values of [[value], [value, fullOf('of other hosts')]]) {
      const found = marksIn(environ(values));
      expect(found).toEqual(hosts.map(markText));
      expect(hosts.every((one) => environmentMatches(found, one))).toBe(true);
    }
  });

  it('[MARK-16] a mark that is cut off with what is too long is none', () => {
    const [one] = [{ host: newHostMark(), instance: 1 }];
    // Its key ends where the value is cut off, and goes on behind that.
    for (let before = 1_100; before < 1_240; before++) {
      expect(marksIn(environ([`${'x'.repeat(before)}:${markText(one)}0${':'.repeat(2_000)}`]))).toEqual([]);
    }
  });

  it('[MARK-16] [PROOF-4] of a process of another user: it is read in full by the host of root, and counts for nothing', async ({
    skip,
  }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    for (const user of [MALLORY, OTHER]) {
      const one = forger({ user, env: { [MARK_VARIABLE]: fullOf('of instances of this host') } });
      await one.forge(String((77n << 31n) | 1n));
      const [row] = tagged(one.tag).filter(({ command }) => command === 'sleep');
      const reading = readMarks(row?.pid ?? 0) as MarkReading;
      expect(reading.marks).toEqual([`${hostMark().id}.1.${key}`]);
      expect(judge(reading, new SearchKnowledge({ host: hostMark() }))).toBe(false);
    }
  });
});
