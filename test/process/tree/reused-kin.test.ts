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

  hold(pid: number): ProcessRow | undefined {
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
