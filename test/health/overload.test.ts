import { expect, it, vi } from 'vitest';
import { machineOverload } from '../../src/health/overload.js';

const machine = vi.hoisted(() => ({ load: 0, cores: 8 }));

vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  loadavg: () => [machine.load, 0, 0],
  cpus: () => Array.from({ length: machine.cores }),
  // A host that may use one of them.
  availableParallelism: () => 1,
}));

it.each([
  [0, 8, undefined],
  // A host that is bound to one core shares the load of all of them, and not their number.
  [31, 8, undefined],
  [32, 8, 'the machine is overloaded: on 8 cores 32 tasks want to run'],
  // Where no cores can be read.
  [3, 0, undefined],
  [4, 0, 'the machine is overloaded: on 1 core 4 tasks want to run'],
])('[HEALTH-3] a load of %d on %d cores', (load, cores, found) => {
  Object.assign(machine, { load, cores });
  expect(machineOverload()).toBe(found);
});
