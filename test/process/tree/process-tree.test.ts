import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Looks } from '../../../src/process/marks/looks.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { FakeKernel } from '../../helpers/fake-kernel.js';

const pids = (rows: Iterable<ProcessRow>) => [...rows].map(({ pid }) => pid).sort((a, b) => a - b);

/** A host that has started a server: its leader, and the tree as the host sees it. */
function started(kernel = new FakeKernel()) {
  const host = kernel.fork(1, 'own session') as ProcessRow;
  const leader = kernel.fork(host.pid, 'own session') as ProcessRow;
  const tree = new ProcessTree(kernel, leader);
  const fork = (parent: ProcessRow, own?: 'own session') => kernel.fork(parent.pid, own) as ProcessRow;
  return { kernel, host, leader, tree, fork };
}

describe('ProcessTree', () => {
  it('[KIN-1] finds children, their children, groups and sessions', () => {
    const { tree, leader, fork, kernel } = started();
    const child = fork(leader);
    const grandchild = fork(child);
    const daemon = fork(grandchild, 'own session');
    const ofDaemon = fork(daemon);
    const grouped = fork(leader);
    kernel.setpgid(grouped.pid);
    expect(pids(tree.refresh())).toEqual(pids([leader, child, grandchild, daemon, ofDaemon, grouped]));
    expect(tree.groupsOf(tree.refresh())).toEqual(new Set([leader.pid, daemon.pid, grouped.pid]));
  });

  it('[KIN-1] keeps members after their parents died', () => {
    const { tree, leader, fork, kernel } = started();
    const child = fork(leader);
    const daemon = fork(child, 'own session');
    tree.refresh();
    kernel.exit(child.pid);
    kernel.collect(child.pid);
    expect(pids(tree.refresh())).toEqual(pids([leader, daemon]));
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    expect(pids(tree.refresh())).toEqual([daemon.pid]);
    expect(pids(tree.living())).toEqual([daemon.pid]);
  });

  it('[KIN-1] finds what is left in the group of a leader that was collected', () => {
    const { tree, leader, fork, kernel } = started();
    const helper = fork(leader);
    const ofHelper = fork(helper, 'own session');
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    tree.leaderExited();
    expect(pids(tree.refresh())).toEqual(pids([helper, ofHelper]));
    expect(tree.groupsOf(tree.refresh())).toEqual(new Set([leader.pid, ofHelper.pid]));
  });

  it('[KIN-1] knows the group that a member has made after it was seen', () => {
    const { tree, leader, fork, kernel } = started();
    const daemon = fork(leader);
    tree.refresh();
    kernel.setsid(daemon.pid);
    const first = fork(daemon);
    tree.refresh();
    // Forked in the last moment of the daemon: only its group says what it belongs to.
    const second = fork(daemon);
    kernel.exit(daemon.pid);
    kernel.collect(daemon.pid);
    expect(pids(tree.refresh())).toEqual(pids([leader, first, second]));
    expect(tree.groupsOf(tree.living())).toEqual(new Set([leader.pid, daemon.pid]));
  });

  it('[KIN-1] finds one that has left its group and lost its parent, by its session', () => {
    const { tree, leader, fork, kernel } = started();
    const shell = fork(leader);
    tree.refresh();
    const job = fork(shell);
    kernel.setpgid(job.pid);
    kernel.exit(shell.pid);
    kernel.collect(shell.pid);
    expect(kernel.living()).toContainEqual(expect.objectContaining({ pid: job.pid, parent: 1, group: job.pid }));
    expect(pids(tree.refresh())).toEqual(pids([leader, job]));
  });

  it('[KIN-1] [CGROUP-2] has those in its cgroup, started since the look too, and all that descend from them', () => {
    const { leader, kernel, fork } = started();
    const lost = fork(leader, 'own session');
    const below = fork(lost);
    kernel.change(lost.pid, { parent: 1 });
    const stranger = fork(kernel.fork(1, 'own session') as ProcessRow);
    const inCgroup = () => new Set([leader.pid, lost.pid, 39, 38]);
    // Not there when the table was read; 38 is dead by now.
    const read = (pid: number) => (pid === 39 ? { ...lost, pid, group: stranger.group } : kernel.rows.get(pid));
    const table = { scan: () => kernel.scan(), read };
    const tree = new ProcessTree(table, leader, { inCgroup });
    const members = tree.refresh();
    expect(pids(members)).toEqual(pids([leader, lost, below, { ...lost, pid: 39 }]));
    // Its group is a stranger's: it gets its signal alone.
    expect(tree.groupsOf(members)).not.toContain(stranger.group);
  });

  it('[KIN-1] living() looks only at those it knows', () => {
    const { tree, leader, fork, kernel } = started();
    const child = fork(leader);
    tree.refresh();
    const late = fork(leader);
    expect(pids(tree.living())).toEqual(pids([leader, child]));
    expect(pids(tree.refresh())).toEqual(pids([leader, child, late]));
    kernel.exit(child.pid);
    expect(pids(tree.living())).toEqual(pids([leader, late]));
  });

  it('[PROOF-2] is dead when the last one it knows is, zombies and those with another start time included', () => {
    const { tree, leader, fork, kernel } = started();
    const child = fork(leader);
    const other = fork(leader);
    tree.refresh();
    kernel.exit(leader.pid);
    kernel.exit(child.pid);
    expect(tree.allDead()).toBe(false);
    kernel.change(other.pid, { startTime: other.startTime + 1 });
    expect(tree.allDead()).toBe(true);
    expect(kernel.rows.get(leader.pid)).toMatchObject({ dead: true });
  });

  it('[PROOF-2] counts no zombie as living, but finds the children of its group', () => {
    const { tree, leader, fork, kernel } = started();
    const child = fork(leader);
    kernel.exit(leader.pid);
    expect(pids(tree.refresh())).toEqual([child.pid]);
    kernel.exit(child.pid);
    expect(tree.refresh()).toEqual([]);
  });

  it('[STRANGER-1] takes no process for a member that has got the pid of the leader', () => {
    const { tree, leader, kernel, host } = started();
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    kernel.add({ ...leader, parent: host.pid, group: host.group, session: host.session, startTime: 999 });
    expect(tree.refresh()).toEqual([]);
    expect(tree.living()).toEqual([]);
    tree.leaderExited();
    expect(tree.refresh()).toEqual([]);
  });

  it('[STRANGER-1] takes no process for a member that is in a group that has got its number', () => {
    const { tree, leader, fork, kernel } = started();
    tree.refresh();
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    const stranger = kernel.add({ ...leader, parent: 1, startTime: 999 });
    const ofStranger = fork(stranger);
    expect(tree.refresh()).toEqual([]);
    tree.leaderExited();
    expect(tree.refresh()).toEqual([]);
    expect(tree.groupsOf([stranger, ofStranger])).toEqual(new Set());
  });

  it('[STRANGER-1] adopts no process when it could not look at once, and the number of the leader was given again', () => {
    const { tree, leader, fork, kernel } = started();
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    tree.leaderExited();
    kernel.failing = true;
    expect(() => tree.refresh()).toThrow();
    kernel.failing = false;
    // The group of a stranger has the number by now, and its leader has left it.
    const stranger = kernel.add({ ...leader, parent: 1, startTime: 1_000_000_000 });
    const ofStranger = kernel.add({ ...fork(stranger), startTime: 1_000_000_001 });
    kernel.exit(stranger.pid);
    expect(kernel.living()).toContainEqual(expect.objectContaining({ pid: ofStranger.pid, group: leader.pid }));
    expect(tree.refresh()).toEqual([]);
  });

  it('[PROOF-3] does not take a table that cannot be read for an empty one', () => {
    const { tree, kernel, leader } = started();
    kernel.failing = true;
    expect(() => tree.refresh()).toThrow();
    expect(() => tree.living()).toThrow();
    kernel.failing = false;
    expect(pids(tree.refresh())).toEqual([leader.pid]);
  });

  it('[STRANGER-1] never names the group of the host, even when a member has joined it', () => {
    const { tree, leader, fork, kernel, host } = started();
    const joined = fork(leader);
    kernel.change(joined.pid, { group: host.group, session: host.session });
    const living = tree.refresh();
    expect(pids(living)).toEqual(pids([leader, joined]));
    expect(tree.groupsOf(living)).toEqual(new Set([leader.pid]));
  });

  it('[STRANGER-1] leaves servers of the same host apart', () => {
    const { tree, leader, kernel, host } = started();
    const other = kernel.fork(host.pid, 'own session') as ProcessRow;
    const otherTree = new ProcessTree(kernel, other);
    kernel.fork(other.pid);
    expect(pids(tree.refresh())).toEqual([leader.pid]);
    expect(otherTree.refresh()).toHaveLength(2);
  });

  const step = fc.record({
    does: fc.constantFrom('fork', 'fork', 'fork own', 'setsid', 'setpgid', 'exit', 'exit', 'collect'),
    which: fc.nat(1_000),
    look: fc.constantFrom('refresh', 'living', 'no'),
  });

  it.each([
    ['[STRANGER-1] never takes a stranger for a member, nor its group for ours', 'as it comes' as const],
    ['[KIN-1] [STRANGER-1] finds exactly the members when it looks after every step', 'always' as const],
  ])('%s', (_title, looks) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 8, max: 30 }), (steps, numbers) => {
        const { kernel, host, leader, tree } = started(new FakeKernel(numbers));
        const ours = new Map([[leader.pid, leader.startTime]]);
        const isOurs = ({ pid, startTime }: ProcessRow) => ours.get(pid) === startTime;
        for (const { does, which, look } of steps) {
          const acting = kernel.living().filter(({ pid }) => pid !== 1 && pid !== host.pid);
          const actor = [...acting, host][which % (acting.length + 1)] as ProcessRow;
          const zombies = [...kernel.rows.values()].filter(({ dead }) => dead);
          if (does === 'fork' || does === 'fork own') {
            const child = kernel.fork(actor.pid, does === 'fork own' ? 'own session' : undefined);
            if (child !== undefined && isOurs(actor)) ours.set(child.pid, child.startTime);
          } else if (does === 'collect') {
            const zombie = zombies[which % Math.max(zombies.length, 1)];
            if (zombie !== undefined) kernel.collect(zombie.pid);
            if (zombie?.pid === leader.pid && zombie.startTime === leader.startTime) {
              tree.leaderExited();
              tree.refresh();
            }
          } else if (actor !== host) {
            kernel[does as 'setsid' | 'setpgid' | 'exit'](actor.pid);
          }
          if (look === 'no' && looks === 'as it comes') continue;
          const found = look === 'living' && looks === 'as it comes' ? tree.living() : tree.refresh();
          for (const row of found) expect(isOurs(row) && !row.dead).toBe(true);
          const groups = tree.groupsOf(found);
          for (const row of kernel.living()) if (groups.has(row.group)) expect(isOurs(row)).toBe(true);
          expect(groups.has(host.group)).toBe(false);
          if (looks === 'always') expect(pids(found)).toEqual(pids(kernel.living().filter(isOurs)));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('ProcessTree, to be measured', () => {
  it.each([
    ['each time without marks', undefined, [true, true, true]],
    ['rarely beside marks', { find: () => [], matchNow: () => false, hasNews: () => false }, [true, false, false]],
  ])('[USAGE-7] reads its cgroup %s', (_when, marks, expected) => {
    const kernel = new FakeKernel();
    const leader = kernel.fork(1, 'own session') as ProcessRow;
    let reads = 0;
    const inCgroup = () => {
      reads += 1;
      return new Set<number>();
    };
    const looks = new Looks(kernel);
    const tree = new ProcessTree(kernel, leader, { looks, inCgroup, marks: marks && ({ ...marks, looks } as never) });
    const seen = expected.map(() => {
      const before = reads;
      tree.present();
      return reads > before;
    });
    expect(seen).toEqual(expected);
    // What ends a tree reads it in any case.
    const before = reads;
    tree.refresh();
    expect(reads).toBe(before + 1);
  });
});
