import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ResourceMonitor } from '../../src/index.js';
import { wrapped } from '../helpers/fixture.js';
import { killProcess, readProcess } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';
import { until } from '../helpers/until.js';

/** A shell that this test has started, and no pool. */
function shell(script: string): ChildProcess & { pid: number } {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  if (child.pid === undefined) throw new Error('it was not started');
  return child as ChildProcess & { pid: number };
}

function newMonitor(): ResourceMonitor {
  const monitor = new ResourceMonitor({ interval: 100 });
  onTestFinished(() => monitor.stop());
  return monitor;
}

const treesOf = async (monitor: ResourceMonitor) => (await monitor.sample()).trees;

describe('a tree of real processes that was added', () => {
  it('[ALONE-1] is measured with its descendants, also when they outlive it, until nothing of it lives', async () => {
    const child = shell('sleep 50 & echo $!; read line');
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    const below = Number(line.toString());
    onTestFinished(() => {
      const row = readProcess(below);
      if (row) killProcess(row);
    });
    const monitor = newMonitor();
    monitor.add({ id: 'tree', name: 'tree', pid: child.pid });
    expect(await treesOf(monitor)).toMatchObject([{ id: 'tree', processes: 2 }]);
    child.stdin?.end();
    await once(child, 'exit');
    expect(await treesOf(monitor)).toMatchObject([{ id: 'tree', processes: 1 }]);
    // No signal of the monitor has reached it.
    expect(readProcess(below)).toBeDefined();
    process.kill(below, 'SIGKILL');
    await until('nothing of it is measured', async () => (await treesOf(monitor)).length === 0);
    // It has left: its id is free.
    expect(monitor.remove('tree')).toBe(false);
    monitor.add({ id: 'tree', name: 'next', pid: process.pid });
    expect(await treesOf(monitor)).toMatchObject([{ name: 'next' }]);
  });

  it('[ALONE-2] lets go of one that ends while the monitor rests, and measures no other one with its pid', async () => {
    const child = shell('read line');
    const monitor = newMonitor();
    monitor.add({ id: 'tree', name: 'tree', pid: child.pid });
    expect(await treesOf(monitor)).toHaveLength(1);
    monitor.stop();
    expect(await treesOf(monitor)).toHaveLength(1);
    monitor.stop();
    child.stdin?.end();
    await once(child, 'exit');
    expect(await treesOf(monitor)).toEqual([]);
    expect(monitor.remove('tree')).toBe(false);
    expect(() => monitor.add({ id: 'tree', name: 'tree', pid: child.pid })).toThrow(/there is no process/);
  });
});

it('[ALONE-5] inspect() shows all processes of a real server of a pool, and nothing once it is dead', async () => {
  const pool = open({ echo: { ...wrapped('echo'), sharing: 'dedicated' } });
  const lease = await pool.getServer('echo');
  // A fork of the shell that has not become Node yet has next to no memory.
  await until('the shell has started Node', async () => {
    const { processes, memoryMB } = (await pool.monitor.sample()).totals;
    return processes === 2 && memoryMB > 5;
  });
  const { descriptors, pssMB, hidden, residentMB, processes } = (await pool.monitor.inspect(lease.instanceId)) ?? {};
  expect({ processes, hidden }).toEqual({ processes: 2, hidden: 0 });
  // Each has at least stdin, stdout and stderr.
  expect(descriptors).toBeGreaterThan(6);
  expect(pssMB).toBeGreaterThan(5);
  expect(pssMB).toBeLessThan(residentMB ?? 0);
  lease.release();
  await lease.ended;
  expect(await pool.monitor.inspect(lease.instanceId)).toBeUndefined();
});
