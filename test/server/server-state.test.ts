import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextState, type ServerState } from '../../src/server/server-state.js';

const states = ['starting', 'ready', 'stopping', 'quarantined', 'stopped'] as const;
const transitions = ['ready', 'refused', 'end', 'proven', 'unproven'] as const;

describe('nextState', () => {
  it('[STATE-1] allows exactly these changes', () => {
    const allowed = states.flatMap((from) =>
      transitions.map((transition) => [from, transition, nextState(from, transition)]).filter(([, , to]) => to),
    );
    expect(allowed).toEqual([
      ['starting', 'ready', 'ready'],
      ['starting', 'refused', 'stopped'],
      ['starting', 'end', 'stopping'],
      ['ready', 'end', 'stopping'],
      ['stopping', 'proven', 'stopped'],
      ['stopping', 'unproven', 'quarantined'],
      ['quarantined', 'proven', 'stopped'],
    ]);
  });

  it('[STATE-1] never leads back: no server becomes usable again, none is dead without a proof or a refusal', () => {
    const rank = { starting: 0, ready: 1, stopping: 2, quarantined: 3, stopped: 4 };
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...transitions), { maxLength: 30 }), (sequence) => {
        let state: ServerState = 'starting';
        for (const transition of sequence) {
          const next: ServerState | undefined = nextState(state, transition);
          if (next === undefined) continue;
          expect(rank[next]).toBeGreaterThan(rank[state]);
          if (next === 'stopped') expect(['proven', 'refused']).toContain(transition);
          state = next;
        }
      }),
    );
  });
});
