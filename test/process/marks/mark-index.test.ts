import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, type MarkReading } from '../../../src/process/marks/evidence.js';
import { InnerHosts } from '../../../src/process/marks/inner-hosts.js';
import { Looks } from '../../../src/process/marks/looks.js';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import { type InstanceMark, markText, newHostMark, rlimitValue } from '../../../src/process/marks/marker.js';
import { SearchKnowledge } from '../../../src/process/marks/search-knowledge.js';
import { UNMARKED } from '../../helpers/fake-marks.js';
import { FakeTable } from '../../helpers/fake-table.js';

const HOST = newHostMark();
const INNER = newHostMark();
const NONE = new Set<number>();
const USER = process.geteuid?.() ?? 0;
const owner = { user: USER, isHere: true, login: undefined, isRaised: false };

/** A table with one process for each reading, from pid 10 on, and the looks at it. */
function looksAt(readings: readonly MarkReading[]) {
  const table = new FakeTable();
  for (const index of readings.keys()) table.add({ pid: 10 + index });
  const readMark = (pid: number) => readings[pid - 10] ?? UNMARKED;
  const looks = new Looks(table, { readMark });
  return { looks, searchFor: (mark: InstanceMark) => new MarkSearch(mark, { looks, table, readMark }) };
}

describe('the search for one mark among those of many trees', () => {
  const marks: InstanceMark[] = [1, 2, 3].map((instance) => ({ host: HOST, instance }));
  const foreign = { host: INNER, instance: 7 };
  const texts = fc.subarray([...marks, foreign].map(markText));
  const limits = fc.constantFrom(undefined, ...[...marks, foreign].map(rlimitValue));
  const anyReading: fc.Arbitrary<MarkReading> = fc.record({
    marks: fc.oneof(texts, fc.constant(undefined)),
    limit: limits,
    owner: fc.constantFrom(owner, { ...owner, user: USER + 1 }, undefined),
  });

  it('[LOOK-2] finds what judging all of them finds, whichever tree comes first', () => {
    fc.assert(
      fc.property(
        fc.array(anyReading, { maxLength: 8 }),
        fc.shuffledSubarray(marks, { minLength: 3 }),
        (readings, order) => {
          const { looks, searchFor } = looksAt(readings);
          for (const mark of order) {
            const found = searchFor(mark)
              .find(looks.last, NONE)
              .map(({ row, match }) => `${row.pid} ${match}`);
            const knowledge = new SearchKnowledge(mark, new InnerHosts(mark));
            const judgeAll = () => readings.map((reading) => judge(reading, knowledge));
            for (const [index, match] of judgeAll().entries()) {
              if (match === 'environment') knowledge.learn(readings[index] as MarkReading, () => undefined);
            }
            const expected = judgeAll().flatMap((match, index) => (match ? [`${10 + index} ${match}`] : []));
            expect(found.sort()).toEqual(expected.sort());
          }
        },
      ),
    );
  });

  it('[LOOK-2] reads nothing of the processes of other trees again', () => {
    let reads = 0;
    const many = Array.from({ length: 100 }, (_, index): InstanceMark => ({ host: HOST, instance: index + 1 }));
    const readings = many.map((mark): MarkReading => {
      return {
        ...{ marks: [markText(mark)], owner },
        get limit() {
          reads += 1;
          return rlimitValue(mark);
        },
      };
    });
    const { looks, searchFor } = looksAt(readings);
    for (const [index, mark] of many.entries()) {
      expect(
        searchFor(mark)
          .find(looks.last, NONE)
          .map(({ row }) => row.pid),
      ).toEqual([10 + index]);
    }
    expect(reads).toBeLessThanOrEqual(many.length);
  });
});
