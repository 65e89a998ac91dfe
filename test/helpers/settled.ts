import { inspect } from 'node:util';
import { expect } from 'vitest';
import type { InstanceStatus, MCPServerPool, PoolStatus } from '../../src/index.js';

/**
 * Throws when the counts of a pool do not agree with each other: in the middle of a transition they do not. For pools with
 * servers that are not changed from shared to exclusive.
 */
export function assertSettled(pool: MCPServerPool): PoolStatus {
  const status = pool.status();
  const { processes, maxProcesses, idle, leases, waiting } = status;
  // Not by `expect`: this is called at every event of thousands of pools.
  const check = (what: string, ok: boolean) => {
    if (!ok) throw new Error(`${what}: ${inspect(status, { depth: 5 })}`);
  };
  const servers = Object.values(status.servers);
  const instances = servers.flatMap((server) => server.instances);
  const pids = new Set(instances.flatMap(({ pid }) => (pid === undefined ? [] : [pid])));
  const registered = pool.registry.list();
  // A successor without a process waits for the slot of another, or has that already.
  check('each process has a slot', processes >= pids.size && processes <= instances.length);
  check('there are no more slots than maxProcesses', processes <= maxProcesses);
  check(
    'the registry has these processes and no others',
    registered.length === pids.size && registered.every(({ pid }) => pids.has(pid)),
  );
  check('what has stopped is gone', !instances.some(({ state }) => state === 'stopped'));
  check('each lease is on one instance', leases === sum(instances.map((instance) => instance.leases)));
  check('each caller waits for one server', waiting === sum(servers.map((server) => server.waiting)));
  check('each idle instance is one of a server', idle === sum(servers.map((server) => server.idle)));
  for (const { idle, instances, sharing, defined } of servers) {
    // One without a lease that is not idle finishes its requests: it is being replaced.
    check('what is idle is ready and has no lease', idle <= instances.filter(isFree).length);
    const isExclusive = defined && sharing !== 'shared';
    check('an exclusive instance has one lease', !isExclusive || instances.every((instance) => instance.leases <= 1));
  }
  return status;
}

/** The same where all callers are of one scope, and no server is replaced: then none waits for what is there. */
export function assertServed(pool: MCPServerPool): void {
  const { state, servers, processes, maxProcesses } = assertSettled(pool);
  if (state !== 'open') return;
  for (const { instances, idle, waiting, maxInstances } of Object.values(servers)) {
    expect(idle).toBe(instances.filter(isFree).length);
    if (waiting === 0) continue;
    expect(idle).toBe(0);
    const isFull = processes >= maxProcesses || instances.length >= maxInstances;
    expect(isFull || instances.some(({ state: its }) => its === 'starting')).toBe(true);
  }
}

function isFree({ state, leases }: InstanceStatus): boolean {
  return state === 'ready' && leases === 0;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}
