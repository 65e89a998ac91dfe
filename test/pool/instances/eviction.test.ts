import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Priority } from '../../../src/config/resource-options.js';
import { type Evictable, evictableIn, evictionOrder } from '../../../src/pool/instances/eviction.js';
import type { PooledInstance } from '../../../src/pool/instances/pooled-instance.js';
import { LeaseClass, ServerEntry } from '../../../src/pool/instances/server-entry.js';
import { define } from '../../helpers/definition.js';

/** As much of an instance as the choice looks at. */
const instance = (name: string, { idleSince = 0, leases = 0, seats = 1 } = {}) =>
  ({ name, idleSince, leases, seats }) as PooledInstance;
const names = (instances: readonly PooledInstance[]) => instances.map(({ name }) => name);
const evictable = (name: string, given: Partial<Evictable> = {}): Evictable => ({
  instance: instance(name),
  priority: 'normal',
  isIdle: true,
  leases: 0,
  idleSince: 0,
  ...given,
});

function leaseClass({ idle = [], starts = [], waiting = 0 }: Partial<LeaseClass>, priority?: Priority): LeaseClass {
  const made = new LeaseClass(new ServerEntry('a'), '');
  if (priority) made.entry.definition = define({ command: 'node', priority });
  made.idle.push(...idle);
  made.starts.push(...starts);
  made.waiting = waiting;
  return made;
}

const order = (classes: readonly LeaseClass[], caller?: Priority) => names(evictionOrder(evictableIn(classes), caller));

describe('the order in which trees are ended to make room', () => {
  it('[QUEUE-3] is the one idle longest first, then starts; nothing that it is given changes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5)), fc.nat(5), (times, count) => {
        const idle = times.map((idleSince, index) => evictable(`idle ${index}`, { idleSince }));
        const starts = Array.from({ length: count }, (_, index) => evictable(`start ${index}`, { isIdle: false }));
        const given = [...idle, ...starts];
        const before = [...given];
        // Of those that are equal, the first stays first.
        const sorted = [...idle.entries()].sort(([i, a], [j, b]) => a.idleSince - b.idleSince || i - j);
        const expected = [...sorted.map(([, one]) => one), ...starts].map((one) => one.instance);
        expect(names(evictionOrder(given))).toEqual(names(expected));
        expect(given).toEqual(before);
      }),
    );
  });

  it('[PRIORITY-1] is expendable ones first, whatever they do; essential ones only for an essential server, and last', () => {
    const priority = fc.constantFrom<Priority>('essential', 'normal', 'expendable');
    const tree = fc.record({ priority, isIdle: fc.boolean(), idleSince: fc.nat(5) });
    const ranks: readonly Priority[] = ['expendable', 'normal', 'essential'];
    fc.assert(
      fc.property(fc.array(tree), priority, (trees, caller) => {
        const given = trees.map((one, index) => evictable(`${index}`, one));
        const chosen = evictionOrder(given, caller).map(({ name }) => given[Number(name)] as Evictable);
        const allowed = given.filter((one) => one.priority !== 'essential' || caller === 'essential');
        expect(new Set(chosen)).toEqual(new Set(allowed));
        const order = chosen.map((one) => ranks.indexOf(one.priority));
        expect(order).toEqual([...order].sort());
      }),
    );
  });

  it('[QUEUE-3] takes the idle ones of all classes, and the youngest starts that no caller waits for', () => {
    const [old, young] = [instance('old', { idleSince: 1 }), instance('young', { idleSince: 2 })];
    const starts = ['first', 'second', 'third'].map((name) => instance(name));
    const one = leaseClass({ idle: [young], starts, waiting: 1 });
    const two = leaseClass({ idle: [old] });
    expect(order([one, two])).toEqual(['old', 'young', 'third', 'second']);
    // The lists of the class are as they were.
    expect(one.starts).toEqual(starts);
  });

  it('[PRIORITY-1] is by the definition of now', () => {
    const [a, b] = [leaseClass({ idle: [instance('a')] }, 'essential'), leaseClass({ idle: [instance('b')] })];
    expect(order([a, b])).toEqual(['b']);
    expect(order([a, b], 'essential')).toEqual(['b', 'a']);
    a.entry.definition = define({ command: 'node', priority: 'expendable' });
    expect(order([b, a])).toEqual(['a', 'b']);
  });

  it('[QUEUE-6] spares starts that callers wait for, by their seats, and those that have leases', () => {
    const shared = leaseClass({ starts: [instance('a', { seats: 3 }), instance('b', { seats: 3 })], waiting: 3 });
    expect(order([shared])).toEqual(['b']);
    shared.waiting = 4;
    expect(order([shared])).toEqual([]);
    const successor = leaseClass({ starts: [instance('successor', { leases: 1, seats: 5 }), instance('free')] });
    expect(order([successor])).toEqual(['free']);
  });
});
