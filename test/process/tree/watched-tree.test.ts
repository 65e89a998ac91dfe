import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import { type WatchedTree, watchedTree } from '../../../src/process/tree/watched-tree.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { isLiving } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** A tree of another program: this host gives it neither a mark nor a cgroup. */
function start(script: string): ChildProcess & { readonly pid: number } {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  onTestFinished(() => {
    try {
      process.kill(-(child.pid as number), 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  return child as ChildProcess & { readonly pid: number };
}

function watch(pid: number): WatchedTree {
  const tree = watchedTree(linux, pid) as WatchedTree;
  onTestFinished(() => tree.close());
  return tree;
}

const openFiles = () => readdirSync('/proc/self/fd').length;
const processes = async (tree: WatchedTree) => (await tree.usage())?.processes ?? 0;

describe('watchedTree', () => {
  it('[USAGE-11] measures a process that this host did not start, with its descendants', async () => {
    const { pid } = start('sleep 1000 & sleep 1000 & wait');
    const tree = watch(pid);
    await until('all three are there', async () => (await processes(tree)) === 3);
    const { memoryMB = 0, residentMB = 0 } = (await tree.usage()) ?? {};
    expect(memoryMB).toBeGreaterThan(0);
    expect(residentMB).toBeGreaterThan(memoryMB);
    expect(tree.identity.pid).toBe(pid);
  });

  it('[USAGE-11] measures one that leads no group, and none of the group that it is in', async () => {
    const { pid } = start('sleep 1000 & sleep 1000 & wait');
    const member = await until('there is a child', () => childrenOf(pid).find((one) => nameOf(one) === 'sleep'));
    expect(await processes(watch(member))).toBe(1);
  });

  it('[USAGE-11] still measures what a leader has left, and nothing when all are gone', async () => {
    const child = start('sleep 1000 & read line');
    const tree = watch(child.pid);
    await until('both are there', async () => (await processes(tree)) === 2);
    const exited = once(child, 'exit');
    child.stdin?.end();
    await exited;
    expect(await processes(tree)).toBe(1);
    process.kill(-child.pid, 'SIGKILL');
    await until('all are gone, zombies too', async () => (await tree.usage()) === undefined);
  });

  it('[USAGE-11] does not measure a process that gets the pid later', async () => {
    const table = new FakeTable();
    table.add({ pid: 50, startTime: 10 });
    table.add({ pid: 51, startTime: 11, parent: 50, group: 50, session: 50 });
    const reader = { read: (rows: readonly { pid: number }[]) => rows.map(({ pid }) => used(pid)), close: () => {} };
    const platform = { ...linux, table, marks: undefined, usage: { reader: () => reader, age: () => 0 } };
    const tree = watchedTree(platform as never, 50) as WatchedTree;
    expect(await processes(tree)).toBe(2);
    table.remove(51);
    table.add({ pid: 50, startTime: 20 });
    table.add({ pid: 52, startTime: 21, parent: 50, group: 50, session: 50 });
    expect(await processes(tree)).toBe(0);
    tree.close();
  });

  it('[USAGE-11] is undefined for a pid that no process has', () => {
    expect(watchedTree(linux, 4_194_304)).toBeUndefined();
  });

  it('[USAGE-11] sends no signal, and keeps nothing open after close()', async () => {
    const { pid } = start('sleep 1000 & wait');
    await until('the child is there', () => childrenOf(pid).length > 0);
    const before = openFiles();
    const tree = watch(pid);
    await until('both are there', async () => (await processes(tree)) === 2);
    // Of each its statistics and its memory.
    expect(openFiles() - before).toBe(4);
    tree.close();
    expect(openFiles() - before).toBe(0);
    expect(isLiving(pid)).toBe(true);
    expect(await processes(tree)).toBe(0);
    expect(openFiles() - before).toBe(0);
  });
});

function used(pid: number) {
  const identity = { pid, startTime: 1, parent: 1, age: 0, isZombie: false };
  return { ...identity, cpu: 0, childCpu: 0, threads: 1, resident: 0, unique: 0, sharedMemory: 0 };
}

/** Read without the code under test. */
function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}
