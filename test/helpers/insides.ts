import { expect } from 'vitest';
import type { PoolParts } from '../../src/pool/assemble.js';
import type { PooledInstance } from '../../src/pool/instances/pooled-instance.js';
import { isOpen, type LeaseClass, type ServerEntry } from '../../src/pool/instances/server-entry.js';
import { tenantRoom } from '../../src/pool/instances/tenant-limit.js';

/**
 * Counts anew what the parts of a pool keep counts and lists of, between two operations. A count that has gone wrong shows
 * here at once, not only when a caller is refused because of it.
 */
export function assertInsides(parts: PoolParts): void {
  const { fleet, queue, leases } = parts;
  const entries = [...fleet.entries.values()];
  const classes = entries.flatMap((entry) => [...entry.classes.values()]);
  for (const entry of entries) assertEntry(parts, entry);
  for (const leaseClass of classes) assertClass(parts, leaseClass);
  const instances = [...fleet.instances()];
  for (const instance of instances) assertLeases(parts, instance);
  equal('leases', leases.size, sum(instances.map((instance) => instance.leases)));
  equal('ids of leases', new Set(leases.list().map(({ id }) => id)).size, leases.size);
  same(
    'instances with silent leases',
    leases.withSilentLeases,
    instances.filter((one) => one.silentLeases > 0),
  );
  equal('idle', fleet.idle.count, sum(entries.map(({ idleCount }) => idleCount)));
  same(
    'idle ones that are needed',
    fleet.idle.needed,
    classes.flatMap(({ idle }) => idle.filter(({ isNeeded }) => isNeeded)),
  );
  equal('the same of all servers', fleet.idle.needed.size, sum(entries.map(({ neededIdle }) => neededIdle)));
  const essential = entries.filter(({ definition }) => definition?.priority === 'essential');
  same('essential servers', fleet.essential.servers, essential);
  equal('idle of essential servers', fleet.essential.idle, sum(essential.map(({ evictableIdle }) => evictableIdle)));
  equal('slots', fleet.slots.used, sum(entries.map(({ used }) => used)));
  equal('slots that come free', fleet.slots.ending, sum(entries.map(({ ending }) => ending.size)));
  for (const entry of fleet.isOpen ? entries : []) assertClean(parts, entry);
  same(
    'populated',
    fleet.populated,
    classes.filter((leaseClass) => leaseClass.instances.size > 0),
  );
  // What lacks a spare is looked at after the next operation, too.
  const lacking = entries.filter((entry) => entry.lacksSpare);
  if (fleet.isOpen) expect(lacking.filter((entry) => !fleet.mayLackSpares.includes(entry))).toEqual([]);
  assertTurns(parts, instances);
  equal('callers', queue.size, sum(classes.map(({ waiting }) => waiting)));
  equal(
    'callers without a start',
    queue.withoutStart,
    sum(classes.map((one) => queue.classOf(one)?.withoutStart ?? 0)),
  );
}

/** Starts take turns: no more than allowed at once, none without need, and none that waits while there is a turn. */
function assertTurns({ fleet, turns }: PoolParts, instances: readonly PooledInstance[]): void {
  const inLine = instances.filter((one) => turns.isWaiting(one));
  equal('starts that wait for their turn', turns.waiting, inLine.length);
  expect(inLine.every(({ state, wasLaunched }) => state === 'starting' && !wasLaunched)).toBe(true);
  const underWay = instances.filter(({ state, wasLaunched }) => state === 'starting' && wasLaunched);
  expect(turns.taken, 'turns').toBeLessThanOrEqual(Math.min(turns.limit, underWay.length));
  if (fleet.isOpen) expect(turns.isFree, 'a turn for a start that waits').toBe(false);
}

function assertEntry({ fleet, queue }: PoolParts, entry: ServerEntry): void {
  const classes = [...entry.classes.values()];
  const instances = [...entry.instances];
  const { slots } = fleet;
  const successors = new Set(instances.filter((one) => slots.predecessorOf(one) !== undefined));
  const succeeded = new Set(instances.map((one) => slots.predecessorOf(one)));
  const holding = instances.filter((one) => !successors.has(one));
  // A successor that ended while it waited for its slot is gone within the tick in which it gets it.
  const ending = holding.filter((one) => one.state === 'stopping' && !succeeded.has(one) && one.wasLaunched);
  equal('slots of a server', entry.used, holding.length);
  same('slots of a server that come free', entry.ending, ending);
  same(
    'instances of a server',
    classes.flatMap((one) => [...one.instances]),
    instances,
  );
  equal('idle of a server', entry.idleCount, sum(classes.map(({ idle }) => idle.length)));
  equal('starts of a server', entry.startCount, sum(classes.map(({ starts }) => starts.length)));
  equal('callers of a server', queue.countOf(entry.name), sum(classes.map(({ waiting }) => waiting)));
  expect(entry.definition !== undefined || instances.length > 0).toBe(true);
}

/** Instances that have served no lease, and may serve any caller. */
function assertClean({ clock, fleet, queue }: PoolParts, entry: ServerEntry): void {
  const classes = [...entry.classes.values()];
  same(
    'surplus starts',
    classes.filter((one) => fleet.surplus.has(one)),
    classes.filter(({ surplusStarts }) => surplusStarts.length > 0),
  );
  same(
    'surplus starts of a server',
    entry.surplus,
    classes.filter((one) => fleet.surplus.has(one)),
  );
  same(
    'clean',
    entry.clean,
    classes
      .flatMap(({ idle }) => idle.filter(({ uses }) => uses === 0))
      .filter(({ hasPredecessor, variant }) => !hasPredecessor && variant === undefined),
  );
  const isSpare = (one: PooledInstance) => one.isBound || entry.spareClass?.idle.includes(one);
  expect(entry.clean.every(isSpare)).toBe(true);
  for (const { starts, cleanStarts } of classes)
    equal('clean starts', cleanStarts, starts.filter(({ isClean }) => isClean).length);
  if (isOpen(entry) && entry.definition.sharing !== 'shared' && queue.size === 0) {
    const clean = [...entry.instances].filter((one) => one.isClean && /starting|ready/.test(one.state));
    equal('lacks a spare', Number(entry.lacksSpare), Number(clean.length < entry.definition.minIdle));
    // What minIdle asks for is made at once.
    if (entry.sparePause.until <= clock.now() && fleet.hasRoom(entry)) expect(entry.lacksSpare).toBe(false);
  }
  const isFree = ({ isBound }: PooledInstance) => !isBound;
  // A tenant that has as many as it may gets none of them.
  const isLimited = (entry.definition?.maxInstancesPerTenant ?? Infinity) < Infinity;
  if (!isLimited) expect(entry.clean.some(isFree) && queue.oldestOf(entry.name) !== undefined).toBe(false);
}

function assertClass({ fleet, queue, matcher, clock, supervisor }: PoolParts, leaseClass: LeaseClass): void {
  const { instances, idle, shared, starts } = leaseClass;
  // A start without a process delays others, so each is needed. A spare one may be: it was asked for.
  const needless = leaseClass.surplusStarts.filter((one) => !one.wasLaunched && !supervisor.isSpare(one));
  const minIdle = leaseClass.entry.definition?.minIdle ?? 0;
  if (fleet.isOpen && isOpen(leaseClass.entry)) expect(needless.length, 'needless starts').toBeLessThanOrEqual(minIdle);
  const listed = [...idle, ...shared, ...starts];
  equal('each instance is in one list, once', new Set(listed).size, listed.length);
  expect(listed.every((instance) => instances.has(instance) && fleet.classOf(instance) === leaseClass)).toBe(true);
  expect(idle.every(({ state, leases, retired }) => state === 'ready' && leases === 0 && retired === undefined)).toBe(
    true,
  );
  same(
    'shared',
    shared,
    [...instances].filter((one) => one.sharing === 'shared' && isUsed(one)),
  );
  expect([...instances].every((one) => one.state !== 'starting' || starts.includes(one))).toBe(true);
  const id = leaseClass.variant?.id;
  expect([...instances].every(({ variant }) => variant?.id === id)).toBe(true);
  const waiting = queue.classOf(leaseClass);
  equal('callers of a class', waiting?.count ?? 0, leaseClass.waiting);
  expect(instances.size + leaseClass.waiting).toBeGreaterThan(0);
  if (waiting === undefined || !fleet.isOpen) return;
  equal('seats on starts', waiting.seats, leaseClass.startingSeats);
  // No caller waits for what is free, and each that may get something is looked at.
  expect(leaseClass.hasFree(clock.now())).toBe(false);
  expect(waiting.place !== -1).toBe(waiting.next !== undefined && !waiting.isRefused && !waiting.isBlocked);
  if (waiting.isHeld && tenantRoom(fleet, leaseClass.entry, leaseClass.tenant) === 'free') {
    // What its tenant may have is for another one, which waits for something else, or has claimed a slot that comes free.
    const others = fleet.classesOf(leaseClass.entry.name, leaseClass.tenant).flatMap((one) => queue.classOf(one) ?? []);
    expect(others.some((one) => !one.isHeld && (one.next !== undefined || one.claimed > 0))).toBe(true);
  }
  for (const waiter of waiting) expect(waiting.isCovered(waiter) && matcher.limitOf(waiter) !== undefined).toBe(false);
}

function assertLeases({ leases }: PoolParts, instance: PooledInstance): void {
  const list = leases.of(instance);
  equal('leases of an instance', instance.leases, list.length);
  equal('silent leases of an instance', instance.silentLeases, list.filter(({ isSilent }) => isSilent).length);
  expect(list.every((lease) => lease.instance === instance && leases.find(lease.id) === lease)).toBe(true);
}

function isUsed({ state, leases }: PooledInstance): boolean {
  return state === 'ready' && leases > 0;
}

function equal(what: string, is: number, counted: number): void {
  expect(is, what).toBe(counted);
}

function same<T>(what: string, is: Iterable<T>, counted: Iterable<T>): void {
  const set = new Set(is);
  const other = [...counted];
  expect(set.size === other.length && other.every((one) => set.has(one)), what).toBe(true);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}
