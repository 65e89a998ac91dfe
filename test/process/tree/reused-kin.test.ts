import { describe, expect, it } from 'vitest';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { FakeTable } from '../../helpers/fake-table.js';

/** A table whose processes can be held; `afterScan` is what happens between a scan and what is read after it. */
class HoldingTable extends FakeTable {
  /** How often each process is held: pid and start time. */
  readonly held = new Map<string, number>();
  afterScan: () => void = () => {};

  override scan(): Map<number, ProcessRow> {
    const rows = super.scan();
    this.afterScan();
    return rows;
  }

  /** Whether single processes cannot be read. */
  failsToRead = false;
  /** It cannot be held. */
  unheld: number | undefined;

  override read(pid: number): ProcessRow | undefined {
    if (this.failsToRead) throw new Error('EMFILE');
    return super.read(pid);
  }

  hold(pid: number): ProcessRow | undefined {
    if (pid === this.unheld) throw new Error('EMFILE');
    const row = this.rows.get(pid);
    if (row) this.#count(row, 1);
    return row;
  }

  release(row: Pick<ProcessRow, 'pid' | 'startTime'>): void {
    if (this.held.has(keyOf(row))) this.#count(row, -1);
  }

  #count(row: Pick<ProcessRow, 'pid' | 'startTime'>, by: number): void {
    const count = (this.held.get(keyOf(row)) ?? 0) + by;
    if (count === 0) this.held.delete(keyOf(row));
    else this.held.set(keyOf(row), count);
  }
}

const keyOf = ({ pid, startTime }: Pick<ProcessRow, 'pid' | 'startTime'>) => `${pid}@${startTime}`;
const pidsOf = (rows: readonly ProcessRow[]) => rows.map(({ pid }) => pid);

/** A leader 10 with a member 20 that leads a session of its own. */
function setup() {
  const table = new HoldingTable();
  table.add({ pid: 10, startTime: 4 });
  table.add({ pid: 20, startTime: 5, parent: 10 });
  const tree = new ProcessTree(table, { pid: 10, startTime: 4 });
  expect(pidsOf(tree.refresh())).toEqual([10, 20]);
  return { table, tree };
}

describe('a process that a scan shows beside a member, whose number belongs to a stranger by then', () => {
  it.each([
    ['its child', { parent: 20 }],
    ['in its group', { parent: 77, group: 20, session: 20 }],
    ['in its session', { parent: 77, session: 20 }],
  ])('[REUSE-4] is not taken for a member: %s', (_what, kinship) => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, ...kinship });
    table.afterScan = () => table.add({ pid: 20, startTime: 8, parent: 77 });
    expect(pidsOf(tree.refresh())).not.toContain(30);
    expect([...table.held.keys()]).not.toContain('30@9');
    table.afterScan = () => {};
    expect(pidsOf(tree.refresh())).toEqual([10]);
    expect([...table.held]).toEqual([['10@4', 1]]);
  });

  it('[REUSE-4] is one if the member only has ended', () => {
    for (const kinship of [{ parent: 20 }, { parent: 20, group: 20, session: 20 }]) {
      const { table, tree } = setup();
      table.add({ pid: 30, startTime: 9, ...kinship });
      table.afterScan = () => {
        table.remove(20);
        table.change(30, { parent: 1 });
      };
      expect(pidsOf(tree.refresh())).toContain(30);
    }
  });

  it('[REUSE-3] is not one if its own number was given to a process of another parent', () => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, parent: 20 });
    table.afterScan = () => table.change(30, { parent: 77 });
    expect(pidsOf(tree.refresh())).toEqual([10, 20]);
  });

  it('[REUSE-4] is no orphan of a leader that has exited', () => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, parent: 77, group: 10, session: 10 });
    table.remove(10);
    table.afterScan = () => table.add({ pid: 10, startTime: 8, parent: 77 });
    expect(pidsOf(tree.leaderExited())).toEqual([20]);
  });

  it('[REUSE-4] shows no group to be signalled by its number', () => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, parent: 20, group: 20, session: 20 });
    const members = tree.refresh();
    expect([...tree.groupsOf(members)]).toEqual([10, 20]);
    table.add({ pid: 20, startTime: 12, parent: 77 });
    expect([...tree.groupsOf(members)]).toEqual([10]);
  });
});

describe('a process with the number and start time of another one', () => {
  it.each([
    ['a dead child', { dead: true }, { parent: 1 }],
    ['a child', {}, { parent: 77 }],
  ])('[REUSE-3] is not taken for it when it got them before it was held: %s', (_what, shown, stranger) => {
    const { table, tree } = setup();
    const kin = { startTime: 9, parent: 20, group: 20, session: 20 };
    table.add({ pid: 30, ...kin, ...shown });
    table.add({ pid: 31, ...kin });
    table.afterScan = () => {
      table.change(20, { dead: true });
      table.add({ pid: 30, startTime: 9, ...stranger });
      // An orphan that init got meanwhile is ours still.
      table.change(31, { parent: 1 });
    };
    expect(pidsOf(tree.refresh())).toEqual([10, 20, 31]);
    expect([...table.held.keys()]).not.toContain('30@9');
  });

  it('[REUSE-3] [KIN-1] is the parent of what it has started in its own tick', () => {
    const table = new HoldingTable();
    const leader = table.add({ pid: 10, startTime: 4 + 1 / 1024 });
    // In sessions of their own: without kinship they would belong to no tree.
    table.add({ pid: 20, startTime: 4, parent: 10 });
    table.add({ pid: 30, startTime: 4, parent: 20 });
    table.add({ pid: 40, startTime: 3, parent: 10 });
    const tree = new ProcessTree(table, leader);
    expect(pidsOf(tree.refresh()).sort()).toEqual([10, 20, 30]);
    table.add({ pid: 50, startTime: 4, group: 10, session: 10 });
    table.remove(10);
    expect(pidsOf(tree.leaderExited()).sort()).toEqual([20, 30, 50]);
  });
});

describe('a table that cannot be read in the middle of a look', () => {
  it.each([
    ['a child', { parent: 20 }],
    ['one in its group', { parent: 77, group: 20, session: 20 }],
  ])('[REUSE-11] leaves nothing held that is no member: %s', (_what, kinship) => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, ...kinship });
    table.add({ pid: 31, startTime: 9, ...kinship });
    table.failsToRead = true;
    for (let looks = 0; looks < 3; looks++) expect(() => tree.refresh()).toThrow('EMFILE');
    expect([...table.held]).toEqual([
      ['10@4', 1],
      ['20@5', 1],
    ]);
    table.failsToRead = false;
    expect(pidsOf(tree.refresh())).toEqual([10, 20, 30, 31]);
    tree.forget();
    expect(table.held.size).toBe(0);
  });

  it('[REUSE-11] nor when only some could be held', () => {
    const { table, tree } = setup();
    for (const pid of [30, 31]) table.add({ pid, startTime: 9, parent: 20 });
    table.afterScan = () => {
      table.unheld = 31;
    };
    expect(() => tree.refresh()).toThrow('EMFILE');
    expect([...table.held.keys()]).toEqual(['10@4', '20@5']);
  });

  it('[REUSE-11] nor at the exit of the leader', () => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, parent: 77, group: 10, session: 10 });
    table.remove(10);
    table.failsToRead = true;
    expect(() => tree.leaderExited()).toThrow('EMFILE');
    expect([...table.held.keys()]).toEqual(['20@5']);
  });

  it('[REUSE-11] nor of what only the cgroup shows', () => {
    const table = new HoldingTable();
    table.add({ pid: 10, startTime: 4 });
    let reads = 0;
    const inCgroup = () => {
      reads += 1;
      if (reads > 1) throw new Error('EMFILE');
      return new Set([30]);
    };
    const tree = new ProcessTree(table, { pid: 10, startTime: 4 }, { inCgroup });
    table.add({ pid: 30, startTime: 9 });
    expect(() => tree.refresh()).toThrow('EMFILE');
    expect([...table.held.keys()]).toEqual(['10@4']);
  });
});

describe('the processes of a tree', () => {
  it('[REUSE-3] are held once each, until they are gone or the tree has ended', () => {
    const { table, tree } = setup();
    table.add({ pid: 30, startTime: 9, parent: 20, group: 20, session: 20 });
    for (let looks = 0; looks < 3; looks++) tree.refresh();
    expect([...table.held]).toEqual([
      ['10@4', 1],
      ['20@5', 1],
      ['30@9', 1],
    ]);
    table.remove(20);
    tree.refresh();
    expect([...table.held.keys()]).toEqual(['10@4', '30@9']);
    table.remove(10);
    tree.leaderExited();
    tree.forget();
    expect(table.held.size).toBe(0);
  });
});
