import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import { type WatchedTree, watchedTree } from '../../../src/process/tree/watched-tree.js';
import type { TreeUsage } from '../../../src/process/usage/tree-usage.js';
import { until } from '../../helpers/until.js';

/** The number of the system call that ends one thread. */
const EXIT = `{'x86_64': 60, 'aarch64': 93}[platform.machine()]`;
const NEEDED = `import ctypes, mmap, platform, threading; ${EXIT}`;
const { status } = spawnSync('python3', ['-c', NEEDED], { stdio: 'ignore' });

/** 60 MB of shared memory, which a child has, too. Both end with stdin. */
const SHARING = `
import mmap, os, sys
held = mmap.mmap(-1, 60 << 20)
parent = os.fork()
for page in range(0, len(held), 4096): held[page] = 1
print('touched', flush=True)
sys.stdin.readline()
if parent: os.wait()`;

/** 60 MB of a thread that outlives the main thread, and ends with stdin. */
const OUTLIVED = `
import ctypes, os, platform, sys, threading
def hold():
    held = bytearray(60 << 20)
    for page in range(0, len(held), 4096): held[page] = 1
    print('touched', flush=True)
    sys.stdin.readline()
    os._exit(0)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall(${EXIT}, 0)`;

/** Its tree, once so many have touched all of their memory. */
async function measured(script: string, touched: number): Promise<WatchedTree> {
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  const exited = once(child, 'exit');
  const tree = watchedTree(linux, child.pid as number) as WatchedTree;
  onTestFinished(async () => {
    tree.close();
    child.stdin.end();
    await exited;
  });
  await until('all memory is touched', () => said.split('touched').length > touched);
  return tree;
}

describe.skipIf(status !== 0)('memory that a process has not alone, or not in its main thread', () => {
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
