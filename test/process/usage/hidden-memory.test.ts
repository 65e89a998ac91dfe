import { describe, expect, it, onTestFinished } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import { type WatchedTree, watchedTree } from '../../../src/process/tree/watched-tree.js';
import type { TreeUsage } from '../../../src/process/usage/tree-usage.js';
import { CAN_HIDE, holding, OUTLIVED, SHARING } from '../../helpers/hidden-memory.js';
import { until } from '../../helpers/until.js';

async function measured(...program: Parameters<typeof holding>): Promise<WatchedTree> {
  const tree = watchedTree(linux, await holding(...program)) as WatchedTree;
  onTestFinished(() => tree.close());
  return tree;
}

describe.skipIf(!CAN_HIDE)('memory that a process has not alone, or not in its main thread', () => {
  it('[USAGE-18] counts shared memory, once for two processes that have it', async () => {
    const tree = await measured(SHARING, 2);
    const usage = (await tree.usage()) as TreeUsage;
    expect(usage.processes).toBe(2);
    expect(usage.residentMB).toBeGreaterThan(120);
    expect(usage.memoryMB).toBeGreaterThan(60);
    expect(usage.memoryMB).toBeLessThan(110);
  });

  it('[USAGE-19] counts what the threads have whose main thread has ended', async () => {
    const tree = await measured(OUTLIVED, 1);
    await until('the main thread has ended', () => linux.table.read(tree.identity.pid)?.state === 'Z');
    const usage = (await tree.usage()) as TreeUsage;
    expect(usage).toMatchObject({ processes: 1, zombies: 0 });
    expect(usage.memoryMB).toBeGreaterThan(60);
    expect(await tree.detailedUsage()).toMatchObject({ processes: 1, zombies: 0, hidden: 1, descriptors: 0 });
  });
});
