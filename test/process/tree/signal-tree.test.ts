import { describe, expect, it } from 'vitest';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { signalFromLeaves, signalTree } from '../../../src/process/tree/signal-tree.js';
import { FakeTable } from '../../helpers/fake-table.js';

/** A leader with two members of its group, and two in groups of their own. */
function setup() {
  const table = new FakeTable();
  const kin = { parent: 10, group: 10, session: 10, startTime: 5 };
  table.add({ pid: 10, startTime: 4 });
  table.add({ pid: 11, ...kin });
  table.add({ pid: 12, ...kin });
  table.add({ pid: 20, parent: 10, session: 10, startTime: 6 });
  table.add({ pid: 30, parent: 10, session: 10, startTime: 6, group: 99 });
  const signals: string[] = [];
  const platform: Platform = {
    ...linux,
    table,
    signalGroup: (group) => void signals.push(`-${group}`),
    signalProcess: (pid) => void signals.push(`${pid}`),
  };
  const tree = new ProcessTree(table, { pid: 10, startTime: 4 });
  return { table, signals, platform, tree, members: tree.refresh() };
}

/** What may happen to a process between the scan that has shown it and the signal. */
const reuse = (table: FakeTable, pid: number) => table.add({ pid, startTime: 1_000 });

describe('a signal to the members of a tree', () => {
  it('[REUSE-2] reaches each group once, and each other member', () => {
    const { signals, platform, tree, members } = setup();
    signalTree(platform, tree, members, 'SIGTERM');
    expect(signals.sort()).toEqual(['-10', '-20', '30']);
  });

  it('[REUSE-2] reaches no process that got the number of one meanwhile', () => {
    const { table, signals, platform, tree, members } = setup();
    reuse(table, 30);
    signalTree(platform, tree, members, 'SIGKILL');
    expect(signals.sort()).toEqual(['-10', '-20']);
  });

  it('[REUSE-2] reaches a group of which one member is left, but not one with a number that was given again', () => {
    const { table, signals, platform, tree, members } = setup();
    reuse(table, 20);
    table.remove(10);
    table.remove(11);
    signalTree(platform, tree, members, 'SIGKILL');
    expect(signals.sort()).toEqual(['-10', '30']);
    signals.length = 0;
    reuse(table, 10);
    table.remove(12);
    signalTree(platform, tree, members, 'SIGKILL');
    expect(signals).toEqual(['30']);
  });

  it('[REUSE-2] reaches an orphan, and no process that was started in the same tick by another one', () => {
    const { table, signals, platform, tree, members } = setup();
    table.remove(10);
    table.change(20, { parent: 1 });
    table.add({ pid: 77, startTime: 2 });
    table.add({ pid: 30, startTime: 6, parent: 77 });
    signalTree(platform, tree, members, 'SIGKILL');
    expect(signals.sort()).toEqual(['-10', '-20']);
    signals.length = 0;
    for (const pid of [11, 12]) table.change(pid, { parent: 1 });
    table.change(30, { parent: 11 });
    signalTree(platform, tree, members, 'SIGKILL');
    expect(signals.sort()).toEqual(['-10', '-20', '30']);
  });

  it('[REUSE-2] from the leaves upward reaches no process that got the number of a leaf', async () => {
    const { table, signals, platform, tree } = setup();
    let scans = 0;
    const racing = {
      ...table,
      read: (pid: number) => table.read(pid),
      scan: () => {
        scans += 1;
        const rows = table.scan();
        if (scans === 2) for (const pid of [11, 12, 20]) reuse(table, pid);
        return rows;
      },
    };
    const members = new ProcessTree(racing, { pid: 10, startTime: 4 });
    expect(members.refresh()).toHaveLength(tree.refresh().length);
    await signalFromLeaves(
      { ...platform, table: racing },
      members,
      'SIGTERM',
      60_000,
      async () => {},
      () => scans >= 3,
    );
    expect(signals).toEqual(['30']);
  });
});
