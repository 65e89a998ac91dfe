import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { undeclaredCapabilities } from '../../../src/protocol/eras/undeclared.js';

describe('undeclaredCapabilities', () => {
  const all = {
    ...{ roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } },
    ...{ experimental: { a: {} }, extensions: { 'io.example/x': {} }, tasks: { list: {} }, tomorrow: {} },
  };

  it('[SHARE-7] names everything that is not passed on: exclusive', () => {
    expect(undeclaredCapabilities(all, {}, false)).toEqual([
      ...['roots', 'sampling', 'elicitation', 'tasks', 'experimental', 'extensions', 'tomorrow'],
    ]);
    expect(undeclaredCapabilities(all, all, false)).toEqual([]);
  });

  it('[SHARE-7] names what lets a server ask its client, also if it was declared: shared', () => {
    expect(undeclaredCapabilities(all, all, true)).toEqual(['roots', 'sampling', 'elicitation', 'tasks']);
  });

  it('[SHARE-7] names the part that is missing', () => {
    const declared = { roots: {}, elicitation: {}, experimental: { b: {} }, extensions: {}, tasks: { list: {} } };
    expect(undeclaredCapabilities(all, declared, false)).toEqual([
      ...['roots.listChanged', 'sampling', 'elicitation.url', 'experimental.a', 'extensions.io.example/x', 'tomorrow'],
    ]);
  });

  it('[SHARE-7] names nothing that says nothing', () => {
    for (const client of [
      ...[undefined, null, 7, 'x', {}, { experimental: {} }, { extensions: {} }, { roots: undefined }],
      ...[{ sampling: false }, { tasks: null }],
    ]) {
      expect(undeclaredCapabilities(client, {}, false)).toEqual([]);
    }
  });

  it('[SHARE-7] is bounded, whatever a client declares', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`${index}${'x'.repeat(200)}`, {}]));
    const names = undeclaredCapabilities(many, {}, false);
    expect(names.length).toBeLessThanOrEqual(50);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(100);
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.boolean(), (client, declared, shared) => {
        expect(Array.isArray(undeclaredCapabilities(client, declared, shared))).toBe(true);
      }),
    );
  });
});
