import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, type Room, type Situation } from '../../../src/pool/acquire/admission.js';

const roomy: Room = { used: 0, limit: 3, ending: 0, evictable: false };
const full: Room = { used: 3, limit: 3, ending: 0, evictable: false };
const situation = (given: Partial<Situation>): Situation => ({
  adoptable: false,
  isMemoryShort: false,
  host: 'met',
  server: roomy,
  pool: roomy,
  ...given,
});

describe('admission', () => {
  it.each<[string, Partial<Situation>, ReturnType<typeof decide>]>([
    ['a start of another class', { adoptable: true }, { action: 'adopt' }],
    ['room', {}, { action: 'spawn' }],
    ['a slot of the server that comes free', { server: { ...full, ending: 1 } }, { action: 'wait', for: 'ending' }],
    [
      'an idle instance of the server for others',
      { server: { ...full, evictable: true } },
      { action: 'evict', from: 'server' },
    ],
    ['nothing, at maxInstances', { server: full }, { action: 'wait', for: 'release', limit: 'maxInstances' }],
    ['a slot of the pool that comes free', { pool: { ...full, ending: 1 } }, { action: 'wait', for: 'ending' }],
    ['an idle instance of another server', { pool: { ...full, evictable: true } }, { action: 'evict', from: 'pool' }],
    ['a lack of memory', { isMemoryShort: true }, { action: 'wait', for: 'release', limit: 'memory' }],
    [
      'a lack of memory, and what could be ended',
      { isMemoryShort: true, pool: { ...full, evictable: true } },
      { action: 'wait', for: 'release', limit: 'memory' },
    ],
    ['a start of another class, and a lack of memory', { adoptable: true, isMemoryShort: true }, { action: 'adopt' }],
    ['[REQ-6] a host that must be looked at', { host: 'unknown' }, { action: 'wait', for: 'look' }],
    [
      '[REQ-6] a host that must be looked at, and what could be ended',
      { host: 'unknown', pool: { ...full, evictable: true } },
      { action: 'wait', for: 'look' },
    ],
    [
      '[REQ-6] a host that need not be looked at',
      { host: 'unknown', pool: full },
      { action: 'wait', for: 'release', limit: 'maxProcesses' },
    ],
    ['[REQ-6] a host that lacks something', { host: 'unmet' }, { action: 'wait', for: 'release', limit: 'requires' }],
    [
      '[REQ-7] a host that lacks something, and no slot',
      { host: 'unmet', server: full },
      { action: 'wait', for: 'release', limit: 'maxInstances' },
    ],
    ['a start of another class, and such a host', { adoptable: true, host: 'unmet' }, { action: 'adopt' }],
    ['nothing, at maxProcesses', { pool: full }, { action: 'wait', for: 'release', limit: 'maxProcesses' }],
  ])('with %s', (_, given, decision) => {
    expect(decide(situation(given))).toEqual(decision);
  });

  const room = fc.record({
    used: fc.nat(5),
    limit: fc.integer({ min: 1, max: 5 }),
    ending: fc.nat(2),
    evictable: fc.boolean(),
  });

  it('[BUDGET-1] spawns only when both budgets have room, whatever the situation', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), room, room, (adoptable, isMemoryShort, server, pool) => {
        const { action } = decide({ adoptable, isMemoryShort, host: 'met', server, pool });
        if (action === 'spawn') {
          expect(server.used).toBeLessThan(server.limit);
          expect(pool.used).toBeLessThan(pool.limit);
        }
      }),
    );
  });

  it('never ends a server when a start or a slot on its way will do', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), room, room, (adoptable, isMemoryShort, server, pool) => {
        const decision = decide({ adoptable, isMemoryShort, host: 'met', server, pool });
        if (decision.action !== 'evict') return;
        expect(adoptable).toBe(false);
        expect((decision.from === 'server' ? server : pool).ending).toBe(0);
      }),
    );
  });
});
