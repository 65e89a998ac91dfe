import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Priority } from '../../src/config/resource-options.js';
import { isAtLeast, LEVELS } from '../../src/monitor/level.js';
import { type Candidate, type ChoiceReason, victims } from '../../src/monitor/victims.js';

const REASONS: readonly ChoiceReason[] = ['room', 'memory', 'largest', 'growth', 'unexpected', 'all'];
const PRIORITIES: readonly Priority[] = ['expendable', 'normal', 'essential'];
const NOW = 1000;

type Named = Candidate & { readonly id: number };
const tree = (id: number, of: Partial<Candidate> = {}): Named => ({
  ...{ id, priority: 'normal', isIdle: false, leases: 1, idleSince: 0, memoryMB: 100, unexpected: 0, growth: 0, ...of },
});
const idle = (id: number, of: Partial<Candidate> = {}) => tree(id, { isIdle: true, leases: 0, ...of });
const starting = (id: number, of: Partial<Candidate> = {}) => tree(id, { leases: 0, ...of });
const ids = (all: readonly Named[]) => all.map(({ id }) => id);

/** Small numbers, so that many are equal; and some that are none. */
const figures = fc.oneof(
  { weight: 9, arbitrary: fc.nat(4) },
  { weight: 1, arbitrary: fc.constantFrom(undefined, Number.NaN, Infinity, 1e300) },
);
const candidates = fc
  .array(
    fc.record({
      priority: fc.constantFrom(...PRIORITIES),
      use: fc.constantFrom('idle', 'starting', 'leased'),
      leases: fc.integer({ min: 1, max: 3 }),
      idleSince: fc.nat(4),
      memoryMB: figures,
      unexpected: figures,
      growth: figures,
    }),
    { maxLength: 20 },
  )
  .map((all) =>
    all.map(({ use, leases, ...one }, id): Named => {
      return { ...one, id, isIdle: use === 'idle', leases: use === 'leased' ? leases : 0 };
    }),
  );
const choices = fc.record({
  reason: fc.constantFrom(...REASONS),
  level: fc.constantFrom(...LEVELS),
  now: fc.constant(NOW),
});

describe('victims', () => {
  it('[VICTIM-1] are some of the candidates, each once, expendable ones first, essential ones last and only from nuclear on', () => {
    fc.assert(
      fc.property(candidates, choices, (all, choice) => {
        const before = structuredClone(all);
        const chosen = victims(all, choice);
        expect(all).toEqual(before);
        expect(new Set(chosen).size).toBe(chosen.length);
        expect(chosen.every((one) => all.includes(one))).toBe(true);
        const order = chosen.map(({ priority }) => PRIORITIES.indexOf(priority));
        expect(order).toEqual(order.toSorted());
        if (!isAtLeast(choice.level, 'nuclear')) expect(order).not.toContain(2);
      }),
      { numRuns: 1000 },
    );
  });

  it('[VICTIM-1] are in an order that is total: of each pair the same one is first, whatever else there is', () => {
    // A share of the largest decides who is among them, so these have that in common.
    const reasons = choices.filter(({ reason }) => reason !== 'growth' && reason !== 'unexpected');
    fc.assert(
      fc.property(candidates, reasons, (all, choice) => {
        const chosen = victims(all, choice);
        for (const [index, first] of chosen.entries()) {
          for (const second of chosen.slice(index + 1)) {
            const pair = all.filter((one) => one === first || one === second);
            expect(victims(pair, choice)).toEqual([first, second]);
          }
        }
        expect(victims(chosen, choice)).toEqual(chosen);
      }),
      { numRuns: 500 },
    );
  });

  it('[VICTIM-1] that are equal stay in the order in which they are given', () => {
    fc.assert(
      fc.property(choices, fc.nat(20), fc.boolean(), (choice, length, isIdle) => {
        const all = Array.from({ length }, (_, id) =>
          tree(id, { isIdle, leases: isIdle ? 0 : 1, unexpected: 1, growth: 1 }),
        );
        expect([[], ids(all)]).toContainEqual(ids(victims(all, choice)));
      }),
    );
  });

  it('[VICTIM-2] for room: the one idle longest first, then starts in their order, and none with a lease', () => {
    const all = [starting(1), idle(2, { idleSince: 9 }), tree(3), starting(4), idle(5, { idleSince: 3 })];
    expect(ids(victims(all, { reason: 'room' }))).toEqual([5, 2, 1, 4]);
    fc.assert(
      fc.property(candidates, (given) => {
        const same = given.map((one) => ({ ...one, priority: 'normal' as const }));
        const byTime = same.filter(({ isIdle }) => isIdle).toSorted((a, b) => a.idleSince - b.idleSince);
        const starts = same.filter(({ isIdle, leases }) => !isIdle && leases === 0);
        expect(victims(same, { reason: 'room' })).toEqual([...byTime, ...starts]);
      }),
    );
  });

  it('[VICTIM-2] an essential server gives room to an essential one alone', () => {
    const all = [idle(1, { priority: 'essential' }), idle(2)];
    const room = (caller?: Priority) => ids(victims(all, { reason: 'room', ...(caller && { caller }) }));
    expect([room(), room('normal'), room('essential')]).toEqual([[2], [2], [2, 1]]);
    // It is no permission for anything else.
    expect(ids(victims(all, { reason: 'memory', now: NOW, caller: 'essential' }))).toEqual([2]);
  });

  it('[VICTIM-2] for memory: idle ones, and none before one that is both older and larger', () => {
    const all = [
      idle(1, { idleSince: 900, memoryMB: 900 }),
      idle(2, { idleSince: 100, memoryMB: 20 }),
      idle(3, { idleSince: 100, memoryMB: 900 }),
      tree(4, { memoryMB: 9000 }),
      starting(5, { memoryMB: 9000 }),
    ];
    expect(ids(victims(all, { reason: 'memory', now: NOW }))).toEqual([3, 1, 2]);
    // Where memory is not known, time alone decides.
    const unknown = [5, 3, 4].map((idleSince, id) => idle(id, { idleSince, memoryMB: undefined }));
    expect(ids(victims(unknown, { reason: 'memory', now: NOW }))).toEqual([1, 2, 0]);
    fc.assert(
      fc.property(candidates, (given) => {
        const chosen = victims(given, { reason: 'memory', now: NOW, level: 'nuclear' });
        expect(chosen).toHaveLength(given.filter(({ isIdle }) => isIdle).length);
        for (const [index, first] of chosen.entries()) {
          const [age, size] = [first.idleSince, first.memoryMB];
          for (const second of chosen.slice(index + 1)) {
            if (second.priority !== first.priority || !Number.isFinite(size) || !Number.isFinite(second.memoryMB))
              continue;
            expect(second.idleSince < age && second.memoryMB! > size!).toBe(false);
          }
        }
      }),
    );
  });

  it('[VICTIM-2] the largest with a lease is replaced for memory, of equal ones that with fewer leases', () => {
    const all = [
      tree(1, { memoryMB: 5, leases: 2 }),
      idle(2, { memoryMB: 99 }),
      tree(3, { memoryMB: 7 }),
      tree(4, { memoryMB: 5 }),
    ];
    expect(ids(victims(all, { reason: 'largest' }))).toEqual([3, 4, 1]);
  });

  it('[VICTIM-3] for growth: those that grow about as fast as the fastest, never a neighbour in its place', () => {
    const all = [
      tree(1, { growth: 30, unexpected: 60 }),
      tree(2, { growth: 60, unexpected: 60 }),
      tree(3, { growth: 29, unexpected: 29 }),
      // It has started a moment ago, and has no more than expected.
      tree(4, { growth: 60, unexpected: 0 }),
      tree(5, { priority: 'expendable', growth: 40, unexpected: 1 }),
    ];
    expect(ids(victims(all, { reason: 'growth' }))).toEqual([5, 2, 1]);
    // What has stopped growing is no more than in unexpected.
    expect(victims([tree(1, { unexpected: 60 })], { reason: 'growth' })).toEqual([]);
    const essential = [
      tree(1, { growth: 60, unexpected: 60, priority: 'essential' }),
      tree(2, { growth: 3, unexpected: 3 }),
    ];
    expect(victims(essential, { reason: 'growth', level: 'critical' })).toEqual([]);
    expect(ids(victims(essential, { reason: 'growth', level: 'nuclear' }))).toEqual([1]);
  });

  it('[VICTIM-3] for unexpected: every tree that is over what is expected, but no neighbour with a short-lived helper', () => {
    const all = [tree(1, { unexpected: 5 }), tree(2, { unexpected: 50 }), tree(3, { unexpected: 4 }), idle(4), tree(5)];
    expect(ids(victims(all, { reason: 'unexpected', level: 'nuclear' }))).toEqual([2, 1]);
    // Sixty trees with one more each: together they are what must end.
    const many = Array.from({ length: 60 }, (_, id) => tree(id, { unexpected: 1 }));
    expect(victims(many, { reason: 'unexpected', level: 'nuclear' })).toHaveLength(60);
    const essential = [tree(1, { unexpected: 60, priority: 'essential' }), tree(2, { unexpected: 1 })];
    expect(victims(essential, { reason: 'unexpected', level: 'critical' })).toEqual([]);
  });

  it('[VICTIM-3] healthy trees are never chosen for growth or unexpected', () => {
    fc.assert(
      fc.property(candidates, choices, (all, choice) => {
        if (choice.reason !== 'growth' && choice.reason !== 'unexpected') return;
        expect(victims(all, choice).every(({ unexpected }) => (unexpected ?? 0) > 0)).toBe(true);
      }),
    );
  });

  it('[VICTIM-3] for all: every one, those with most unexpected first, idle ones before leased ones', () => {
    const all = [
      tree(1),
      idle(2),
      tree(3, { unexpected: 9 }),
      idle(4, { priority: 'essential' }),
      tree(5, { leases: 3 }),
    ];
    expect(ids(victims(all, { reason: 'all', level: 'emergency' }))).toEqual([3, 2, 1, 5, 4]);
    fc.assert(
      fc.property(candidates, (given) => {
        expect(victims(given, { reason: 'all', level: 'emergency' })).toHaveLength(given.length);
      }),
    );
  });
});
