import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SPARE } from '../../../src/pool/instances/lease-scope.js';
import { Lease } from '../../../src/pool/leases/lease.js';
import { LeaseTable } from '../../../src/pool/leases/lease-table.js';

function lend(table: LeaseTable): Lease {
  const lease = new Lease(undefined as never, table.reserve(), undefined as never, SPARE, 0, undefined);
  table.set(lease);
  return lease;
}

const step = fc.record({
  do: fc.constantFrom<('lend' | 'end' | 'reserve')[]>('lend', 'lend', 'end'),
  which: fc.nat(30),
});

describe('a table of leases', () => {
  it('[LEASE-3] finds each that is held by its id, and nothing by the id of one that has ended', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const table = new LeaseTable();
        let held: Lease[] = [];
        const ids = new Set<string>();
        const ended: string[] = [];
        for (const next of steps) {
          const lease = held[next.which % Math.max(held.length, 1)];
          if (next.do === 'lend') {
            const made = lend(table);
            held.push(made);
            ids.add(made.id);
          } else if (lease) {
            table.delete(lease);
            held = held.filter((one) => one !== lease);
            ended.push(lease.id);
          }
          expect(table.size).toBe(held.length);
          // Oldest first, whichever places they have got.
          expect(table.list()).toEqual(held);
          for (const one of held) expect(table.find(one.id)).toBe(one);
          for (const id of ended) expect(table.find(id)).toBeUndefined();
        }
        expect(ids.size).toBe(held.length + ended.length);
        expect(new Set(held.map(({ place }) => place)).size).toBe(held.length);
      }),
    );
  });

  it('uses the places again: it grows no further than to the most leases at once', () => {
    const table = new LeaseTable();
    for (let round = 0; round < 100; round++) table.delete(lend(table));
    expect(lend(table).place).toBe(0);
  });

  it('[LEASE-3] finds nothing by what is no id', () => {
    const table = new LeaseTable();
    const { number, place } = lend(table);
    for (const id of [
      '',
      `lease-${number}`,
      `lease-${number}-`,
      `lease-${number}-${place}5`,
      `lease-${number}-${place} `,
      `xlease-${number}-${place}`,
      `lease--1-${place}`,
      undefined,
      null,
      number,
    ]) {
      expect(table.find(id as string)).toBeUndefined();
    }
    // No place is found under the specimen's either, which is no lease.
    expect(table.find(table.specimen.id)).toBeUndefined();
  });
});
