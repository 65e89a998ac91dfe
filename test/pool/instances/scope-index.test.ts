import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ScopeLabels } from '../../../src/pool/instances/lease-scope.js';
import { ScopeIndex } from '../../../src/pool/instances/scope-index.js';

const LABELS = ['x', 'y', ''];
const label = fc.option(fc.constantFrom(...LABELS), { nil: undefined });
const scopes = fc.array(fc.record({ tenant: label, owner: label }), { minLength: 1, maxLength: 12 });
const steps = fc.array(fc.record({ do: fc.constantFrom('add' as const, 'delete' as const), which: fc.nat(20) }), {
  maxLength: 60,
});

describe('a scope index', () => {
  it('[TENANT-2] finds those of an owner or a tenant as a list would, in the order in which they came', () => {
    fc.assert(
      fc.property(scopes, steps, (items, changes) => {
        const index = new ScopeIndex<ScopeLabels>();
        let list: ScopeLabels[] = [];
        for (const change of changes) {
          const item = items[change.which % items.length] as ScopeLabels;
          index[change.do](item);
          if (change.do === 'delete') list = list.filter((one) => one !== item);
          else if (!list.includes(item)) list.push(item);
          for (const by of ['owner', 'tenant'] as const) {
            for (const name of LABELS) expect(index.of(by, name)).toEqual(list.filter((one) => one[by] === name));
          }
        }
      }),
    );
  });

  it('gives a list of its own: what leaves while it is walked through is still in it', () => {
    const index = new ScopeIndex<ScopeLabels>();
    const items = ['a', 'b'].map((tenant) => ({ tenant, owner: 'o' }));
    for (const item of items) index.add(item);
    const found = index.of('owner', 'o');
    for (const item of found) index.delete(item);
    expect(found).toEqual(items);
    expect(index.of('owner', 'o')).toEqual([]);
  });

  it('of nothing is empty: an item without labels is of no owner and no tenant', () => {
    const index = new ScopeIndex<ScopeLabels>();
    index.add({ tenant: undefined, owner: undefined });
    expect([index.of('owner', 'undefined'), index.of('tenant', '')]).toEqual([[], []]);
  });
});
