import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { evictableIn, evictionOrder } from '../../../src/pool/instances/eviction.js';
import type { PooledInstance } from '../../../src/pool/instances/pooled-instance.js';
import { LeaseClass, ServerEntry } from '../../../src/pool/instances/server-entry.js';

/** As much of an instance as the choice looks at. */
const instance = (name: string, { idleSince = 0, leases = 0, seats = 1 } = {}) =>
  ({ name, idleSince, leases, seats }) as PooledInstance;
const names = (instances: readonly PooledInstance[]) => instances.map(({ name }) => name);

function leaseClass({ idle = [], starts = [], waiting = 0 }: Partial<LeaseClass>): LeaseClass {
  const made = new LeaseClass(new ServerEntry('a'), '');
  made.idle.push(...idle);
  made.starts.push(...starts);
  made.waiting = waiting;
  return made;
}

describe('the order in which trees are ended to make room', () => {
  it('[QUEUE-3] is the one idle longest first, then starts; nothing that it is given changes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5)), fc.nat(5), (times, starts) => {
        const idle = times.map((idleSince, index) => instance(`idle ${index}`, { idleSince }));
        const surplusStarts = Array.from({ length: starts }, (_, index) => instance(`start ${index}`));
        const before = [...idle];
        const order = evictionOrder({ idle, surplusStarts });
        expect(order).toHaveLength(idle.length + starts);
        // Of those that are equal, the first stays first.
        const sorted = [...idle.entries()].sort(([i, a], [j, b]) => a.idleSince - b.idleSince || i - j);
        expect(names(order)).toEqual(names([...sorted.map(([, one]) => one), ...surplusStarts]));
        expect(idle).toEqual(before);
      }),
    );
  });

  it('[QUEUE-3] takes the idle ones of all classes, and the youngest starts that no caller waits for', () => {
    const [old, young] = [instance('old', { idleSince: 1 }), instance('young', { idleSince: 2 })];
    const starts = ['first', 'second', 'third'].map((name) => instance(name));
    const one = leaseClass({ idle: [young], starts, waiting: 1 });
    const two = leaseClass({ idle: [old] });
    const evictable = evictableIn([one, two]);
    expect(names(evictable.surplusStarts)).toEqual(['third', 'second']);
    expect(names(evictionOrder(evictable))).toEqual(['old', 'young', 'third', 'second']);
    // The lists of the class are as they were.
    expect(one.starts).toEqual(starts);
  });

  it('[QUEUE-6] spares starts that callers wait for, by their seats, and those that have leases', () => {
    const shared = leaseClass({ starts: [instance('a', { seats: 3 }), instance('b', { seats: 3 })], waiting: 3 });
    expect(names(evictableIn([shared]).surplusStarts)).toEqual(['b']);
    shared.waiting = 4;
    expect(evictableIn([shared]).surplusStarts).toEqual([]);
    const successor = leaseClass({ starts: [instance('successor', { leases: 1, seats: 5 }), instance('free')] });
    expect(names(evictableIn([successor]).surplusStarts)).toEqual(['free']);
  });
});
