import { expect } from 'vitest';
import type { MCPServerPool, PoolEvents } from '../../src/index.js';

/** Every event of a pool. */
export const EVERY_EVENT = [
  'server:starting',
  'server:ready',
  'server:failed',
  'server:exited',
  'server:restarting',
  'server:restarted',
  'tools:changed',
  'capability:undeclared',
  'breaker:opened',
  'breaker:half-opened',
  'breaker:closed',
  'server:stopping',
  'server:stopped',
  'server:quarantined',
  'server:stderr',
  'lease:acquired',
  'lease:released',
  'lease:moved',
  'lease:reclaimed',
  'lease:leaked',
  'queue:waiting',
  'queue:served',
  'queue:rejected',
  'limit:reached',
  'orphan:reaped',
  'containment:degraded',
  'pool:draining',
  'pool:closed',
  'internal:error',
  'listener:error',
  'cleanup:started',
  'cleanup:escalated',
  'cleanup:finished',
  'cleanup:failed',
] as const satisfies readonly (keyof PoolEvents)[];
// Fails to compile when an event is missing above.
true satisfies keyof PoolEvents extends (typeof EVERY_EVENT)[number] ? true : false;

/**
 * Throws when the counts of a pool do not agree with each other: in the middle of a transition they do not. For pools whose
 * servers are not changed from shared to exclusive.
 */
export function assertSettled(pool: MCPServerPool): void {
  const status = pool.status();
  const servers = Object.values(status.servers);
  const instances = servers.flatMap((server) => server.instances);
  const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);
  // A successor without a process waits for the slot of another, or has that already.
  const spawned = instances.filter(({ pid }) => pid !== undefined);
  expect(status.processes).toBeGreaterThanOrEqual(spawned.length);
  expect(status.processes).toBeLessThanOrEqual(instances.length);
  expect(status.processes).toBeLessThanOrEqual(status.maxProcesses);
  expect(new Set(pool.registry.list().map(({ pid }) => pid))).toEqual(new Set(spawned.map(({ pid }) => pid)));
  expect(instances.filter(({ state }) => state === 'stopped')).toEqual([]);
  expect(status.leases).toBe(sum(instances.map(({ leases }) => leases)));
  expect(status.waiting).toBe(sum(servers.map(({ waiting }) => waiting)));
  expect(status.idle).toBe(sum(servers.map(({ idle }) => idle)));
  for (const server of servers) {
    // One without a lease that is not idle finishes its requests: it is being replaced.
    const free = server.instances.filter(({ state, leases }) => state === 'ready' && leases === 0);
    expect(server.idle).toBeLessThanOrEqual(free.length);
    if (server.sharing === 'shared') continue;
    expect(server.instances.filter(({ leases }) => leases > 1)).toEqual([]);
  }
}

/** The same where all callers are of one scope, and no server is replaced: then none waits for what is there. */
export function assertServed(pool: MCPServerPool): void {
  assertSettled(pool);
  const status = pool.status();
  if (status.state !== 'open') return;
  for (const { instances, idle, waiting, maxInstances } of Object.values(status.servers)) {
    expect(idle).toBe(instances.filter(({ state, leases }) => state === 'ready' && leases === 0).length);
    if (waiting === 0) continue;
    expect(idle).toBe(0);
    const isFull = status.processes >= status.maxProcesses || instances.length >= maxInstances;
    expect(isFull || instances.some(({ state }) => state === 'starting')).toBe(true);
  }
}
