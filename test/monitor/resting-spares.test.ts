import { describe, expect, it } from 'vitest';
import { RestingSpares } from '../../src/monitor/resting-spares.js';
import { assessed, type SampledTree } from '../helpers/assessed.js';

const spare: SampledTree = { id: 's 1', name: 'spare', leases: 0, expectedProcesses: 1 };
const good: SampledTree = { id: 'g 1', name: 'good', expectedProcesses: 1 };

/** The servers whose spare ones rest after some samples. */
function resting(samples: readonly (readonly SampledTree[])[], unclaimed = 0, options: object = { enforce: true }) {
  const { sample } = assessed({ levels: options });
  let names: readonly string[] = [];
  for (const [index, trees] of samples.entries()) {
    const at = (index + 1) * 5_000;
    const { gate } = sample(at, trees, {}, unclaimed);
    names = [...gate.restingSpares].filter(([, { until }]) => until > at).map(([name]) => name);
  }
  return names;
}

describe('RestingSpares', () => {
  it('[REST-1] the pause doubles with each time that a server is ended, up to 16 first ones', () => {
    const spares = new RestingSpares(60_000);
    let at = 0;
    const pauses = Array.from({ length: 7 }, () => {
      spares.ended(at, 'a');
      // Its other trees are no other attempt.
      spares.ended(at + 5_000, 'a');
      const pause = (spares.pauses.get('a')?.until ?? 0) - at;
      at += pause + 10_000;
      return pause / 60_000;
    });
    expect(pauses).toEqual([1, 2, 4, 8, 16, 16, 16]);
    spares.forget('a');
    expect(spares.pauses.size).toBe(0);
  });

  it('[REST-1] knows a limited number of servers', () => {
    const spares = new RestingSpares(60_000);
    for (let server = 0; server < 1_200; server += 1) spares.ended(server, `s${server}`);
    expect(spares.pauses.size).toBe(1_000);
    expect([spares.pauses.has('s199'), spares.pauses.has('s200')]).toEqual([false, true]);
    // One that is ended again is known longer.
    spares.ended(100_000, 's200');
    spares.ended(100_000, 'next');
    expect([spares.pauses.has('s200'), spares.pauses.has('s201')]).toEqual([true, false]);
  });

  it.each([
    [41, { enforce: true }],
    [61, { enforce: true }],
    [151, { enforce: true }],
    [41, { enforce: false }],
  ])('[REST-2] the server that has brought a level rests, and no neighbour: %i processes, %j', (processes, options) => {
    const idle = { ...good, id: 'i 1', name: 'idle', leases: 0, processes: 3 };
    const before = Array.from({ length: 8 }, () => [spare, good, idle]);
    const grown = { ...spare, processes };
    expect(resting([...before, [grown, good, idle], [grown, good, idle]], 0, options)).toEqual(['spare']);
  });

  it('[REST-2] no server rests for processes of none of them', () => {
    const helped = { ...good, processes: 3 };
    const before = Array.from({ length: 8 }, () => [spare, good]);
    expect(resting([...before, [spare, helped], [spare, helped]], 120)).toEqual([]);
  });

  it('[REST-2] one whose definition has changed does not rest', () => {
    const { assessment, sample } = assessed({ levels: { enforce: true } });
    const { gate } = sample(5_000, [{ ...spare, processes: 151 }, good]);
    expect([...gate.restingSpares.keys()]).toEqual(['spare']);
    assessment.forgetLives('spare');
    expect([...gate.restingSpares.keys()]).toEqual([]);
  });
});
