import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedNames } from '../../src/exporters/bounded-names.js';
import { METHODS, methodLabel } from '../../src/exporters/method-label.js';
import { serverLabel } from '../../src/exporters/server-label.js';

describe('BoundedNames', () => {
  it('[PROM-3] has no more values than its limit and `other`, whatever comes; a name keeps its value until it is forgotten', () => {
    const name = fc.string({ maxLength: 2 });
    const step = fc.oneof(fc.record({ of: name }), fc.record({ makeRoom: fc.array(name, { maxLength: 5 }) }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (most, steps) => {
        const now = new Set<string>();
        const names = new BoundedNames(most, {
          onAdded: (added) => {
            expect(now).not.toContain(added);
            now.add(added);
          },
          onForgotten: (forgotten) => expect(now.delete(forgotten)).toBe(true),
        });
        for (const one of steps) {
          if ('of' in one) {
            const was = now.has(one.of);
            const value = names.of(one.of);
            expect(now).toContain(value);
            expect([one.of, 'other']).toContain(value);
            if (was) expect(value).toBe(one.of);
          } else {
            const before = new Set(now);
            names.makeRoom(new Set(one.makeRoom));
            for (const kept of one.makeRoom) if (before.has(kept)) expect(now).toContain(kept);
          }
          expect(new Set([...now, 'other']).size).toBeLessThanOrEqual(most + 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('[PROM-3] forgets nothing while there is room, and never what stands for the others', () => {
    const forgotten: string[] = [];
    const names = new BoundedNames(2, { onForgotten: (name) => forgotten.push(name) });
    names.of('a');
    names.makeRoom(new Set());
    expect(forgotten).toEqual([]);
    names.of('b');
    expect(names.of('c')).toBe('other');
    names.makeRoom(new Set(['b']));
    expect(forgotten).toEqual(['a']);
    expect(names.of('c')).toBe('c');
  });
});

describe('labels', () => {
  it('[PROM-3] the servers of one program of the drop-in have one label', () => {
    expect(serverLabel('stdio:cat:0123abcd-17')).toBe('stdio:cat');
    expect(serverLabel('stdio:a:b:0123abcd-1')).toBe('stdio:a:b');
    for (const name of ['stdio:cat', 'files', 'files:0123abcd-17', '']) expect(serverLabel(name)).toBe(name);
  });

  it('[PROM-3] methods that the protocol does not know are one', () => {
    for (const method of METHODS) expect(methodLabel(method)).toBe(method);
    for (const method of ['x', 'constructor', '', 'tools/call ']) expect(methodLabel(method)).toBe('other');
  });
});
