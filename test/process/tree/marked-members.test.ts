import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import { newHostMark } from '../../../src/process/marks/marker.js';
import { Sweeper } from '../../../src/process/marks/sweeper.js';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { targetsOf } from '../../../src/process/tree/signal-tree.js';
import { FakeKernel } from '../../helpers/fake-kernel.js';
import { readerOf } from '../../helpers/fake-marks.js';

const MARK = { host: newHostMark(), instance: 1 };
const pids = (rows: Iterable<ProcessRow>) => [...rows].map(({ pid }) => pid).sort((a, b) => a - b);

/**
 * A login session that has lost its leader, with a daemon in a group of its own and a shell, both older than the server
 * that is then started.
 */
function machine(numbers = 40) {
  const kernel = new FakeKernel(numbers);
  const login = kernel.fork(1, 'own session') as ProcessRow;
  const daemon = kernel.fork(login.pid) as ProcessRow;
  kernel.setpgid(daemon.pid);
  const shell = kernel.fork(login.pid) as ProcessRow;
  kernel.exit(login.pid);
  const host = kernel.fork(1, 'own session') as ProcessRow;
  const leader = kernel.fork(host.pid, 'own session') as ProcessRow;
  const marked = new Set<number>();
  const read = readerOf(MARK, (pid) => marked.has(pid));
  const options = { table: kernel, readMark: read, since: leader.startTime, now: () => 0 };
  const tree = new ProcessTree(kernel, leader, { marks: new MarkSearch(MARK, options) });
  const mark = (row: ProcessRow) => {
    marked.add(row.pid);
    return row;
  };
  return { kernel, login, daemon, shell, host, leader, marked, mark, options, tree };
}

/** All that descends from a process now. */
function below(kernel: FakeKernel, { pid }: ProcessRow): ProcessRow[] {
  return [...kernel.rows.values()]
    .filter(({ parent }) => parent === pid)
    .flatMap((row) => [row, ...below(kernel, row)]);
}

describe('a process with the mark of a server', () => {
  it('[MARK-11] is taken alone out of a session that has lost its leader, with what descends from it', () => {
    const { kernel, shell, daemon, leader, mark, tree } = machine();
    const bearer = mark(kernel.fork(shell.pid) as ProcessRow);
    const below = kernel.fork(bearer.pid) as ProcessRow;
    const beside = kernel.fork(shell.pid) as ProcessRow;
    const members = tree.refresh();
    expect(pids(members)).toEqual(pids([leader, bearer, below]));
    expect(targetsOf(tree, members)).toEqual({ groups: [leader.pid], pids: [bearer.pid, below.pid] });
    kernel.exit(shell.pid);
    expect(pids(tree.refresh())).not.toContain(beside.pid);
    expect(pids(tree.refresh())).not.toContain(daemon.pid);
  });

  it('[MARK-11] makes neither its group nor its session ours, also when it leads them', () => {
    const { kernel, leader, mark, tree } = machine();
    // A shell that becomes a command with the environment of a server has a job of before in its session.
    const shell = kernel.fork(1, 'own session') as ProcessRow;
    const job = kernel.fork(shell.pid) as ProcessRow;
    kernel.change(job.pid, { parent: 1 });
    mark(shell);
    const members = tree.refresh();
    expect(pids(members)).toEqual(pids([leader, shell]));
    expect([...tree.groupsOf(members)]).toEqual([leader.pid]);
    // What it starts in a session of its own began inside the tree.
    const daemon = kernel.fork(shell.pid, 'own session') as ProcessRow;
    const helper = kernel.fork(daemon.pid) as ProcessRow;
    expect(pids(tree.refresh())).toEqual(pids([leader, shell, daemon, helper]));
    expect([...tree.groupsOf(tree.refresh())]).toEqual([leader.pid, daemon.pid]);
  });

  it.each(['leads it no more', 'leads it'])(
    '[REUSE-5] makes no group ours whose number a dead helper has led: the stranger %s',
    (what) => {
      const { kernel, leader, mark, tree } = machine();
      const helper = kernel.fork(leader.pid, 'own session') as ProcessRow;
      expect([...tree.groupsOf(tree.refresh())]).toEqual([leader.pid, helper.pid]);
      kernel.exit(helper.pid);
      kernel.collect(helper.pid);
      tree.refresh();
      const terminal = kernel.add({ pid: helper.pid, parent: 1, startTime: 100 });
      const shell = kernel.fork(terminal.pid) as ProcessRow;
      kernel.change(shell.pid, { startTime: 101 });
      if (what === 'leads it no more') kernel.exit(terminal.pid);
      const bearer = mark(kernel.fork(shell.pid) as ProcessRow);
      kernel.change(bearer.pid, { startTime: 102 });
      const members = tree.refresh();
      expect(pids(members)).toEqual(pids([leader, bearer]));
      expect([...tree.groupsOf(members)]).toEqual([leader.pid]);
    },
  );

  it('[REUSE-5] [KIN-1] keeps the group of a dead helper as long as one that it has started is there, however often it is looked at', () => {
    const { kernel, leader, tree } = machine();
    const helper = kernel.fork(leader.pid, 'own session') as ProcessRow;
    const below = kernel.fork(helper.pid) as ProcessRow;
    tree.refresh();
    kernel.exit(helper.pid);
    kernel.collect(helper.pid);
    for (let looks = 0; looks < 9; looks++) expect(pids(tree.refresh())).toEqual(pids([leader, below]));
    expect([...tree.groupsOf(tree.refresh())]).toEqual([leader.pid, helper.pid]);
  });

  it('[MARK-11] is not ours when it is older than the server, whatever its parent, its group or its cgroup say', () => {
    const { kernel, daemon, shell, leader, mark, host } = machine();
    mark(daemon);
    kernel.change(shell.pid, { parent: leader.pid });
    const older = kernel.add({ pid: 38, parent: 1, group: leader.pid, session: leader.pid, startTime: 0 });
    const inCgroup = () => new Set([daemon.pid, host.pid]);
    const plain = new ProcessTree(kernel, leader, { inCgroup });
    expect(pids(plain.refresh())).toEqual([leader.pid]);
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    kernel.change(older.pid, { parent: 1 });
    expect(plain.leaderExited()).toEqual([]);
  });

  it('[MARK-11] takes no other process of its group with it in a sweep, only what descends from it', () => {
    const { kernel, shell, daemon, mark, options } = machine();
    const bearer = mark(kernel.fork(shell.pid) as ProcessRow);
    const below = kernel.fork(bearer.pid) as ProcessRow;
    const deeper = kernel.fork(below.pid, 'own session') as ProcessRow;
    const beside = kernel.fork(shell.pid) as ProcessRow;
    const killed: number[] = [];
    const processes = {
      table: kernel,
      signalGroup: (group: number) => expect.fail(`group ${group}`),
      signalProcess: (pid: number) => void killed.push(pid),
    };
    new Sweeper(processes, new MarkSearch(MARK, { ...options, newest: () => 0 })).pass(Number.POSITIVE_INFINITY);
    expect(killed.sort((a, b) => a - b)).toEqual(pids([bearer, below, deeper]));
    expect(pids(kernel.living())).toEqual(expect.arrayContaining(pids([daemon, beside])));
  });

  it('[LOOK-3] is searched for when trees are measured only if a process with a mark is new, and once in ten times', () => {
    const { kernel, shell, leader, mark, options } = machine();
    mark(leader);
    const search = new MarkSearch(MARK, { ...options, now: () => 1_000 });
    const tree = new ProcessTree(kernel, leader, { marks: search });
    let searches = 0;
    const find = search.find.bind(search);
    search.find = (...args) => {
      searches += 1;
      return find(...args);
    };
    const measure = (times = 1) => {
      searches = 0;
      for (let time = 1; time < times; time++) tree.present();
      return [pids(tree.present()), searches];
    };
    expect(measure()).toEqual([[leader.pid], 1]);
    kernel.fork(shell.pid);
    expect(measure(9)).toEqual([[leader.pid], 0]);
    expect(measure()).toEqual([[leader.pid], 1]);
    const bearer = mark(kernel.fork(shell.pid) as ProcessRow);
    expect(measure()).toEqual([pids([leader, bearer]), 1]);
    // It is a member now, so that the next search finds nothing.
    expect(measure(2)).toEqual([pids([leader, bearer]), 1]);
    expect(measure()).toEqual([pids([leader, bearer]), 0]);
    // What ends a tree searches each time.
    searches = 0;
    tree.refresh();
    tree.refresh();
    expect(searches).toBe(2);
  });

  it.each(['without the mark', 'another one'])(
    '[REUSE-8] is no reason to kill what is below it when it is %s by then',
    (what) => {
      const { kernel, shell, marked, mark, options } = machine();
      const bearer = mark(kernel.fork(shell.pid) as ProcessRow);
      const child = kernel.fork(bearer.pid) as ProcessRow;
      const deeper = kernel.fork(child.pid) as ProcessRow;
      const other = mark(kernel.fork(shell.pid) as ProcessRow);
      const orphan = kernel.fork(other.pid) as ProcessRow;
      const killed: number[] = [];
      const processes = {
        table: kernel,
        signalGroup: (group: number) => expect.fail(`group ${group}`),
        signalProcess: (pid: number) => void killed.push(pid),
      };
      const search = new MarkSearch(MARK, { ...options, newest: () => 0 });
      const find = search.find.bind(search);
      search.find = (...args) => {
        const found = find(...args);
        if (what === 'another one') kernel.change(bearer.pid, { startTime: 90 });
        else marked.delete(bearer.pid);
        // It has only ended: what it leaves is ours.
        kernel.exit(other.pid);
        kernel.collect(other.pid);
        return found;
      };
      new Sweeper(processes, search).pass(Number.POSITIVE_INFINITY);
      expect(killed).toEqual([orphan.pid]);
      expect(pids(kernel.living())).toEqual(expect.arrayContaining(pids([child, deeper])));
    },
  );

  const step = fc.record({
    does: fc.constantFrom('fork', 'fork', 'fork own', 'setsid', 'setpgid', 'exit', 'collect', 'exec marked', 'drop'),
    which: fc.nat(1_000),
  });

  it('[MARK-11] [STRANGER-1] never makes another process ours, whatever happens around it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 10, max: 30 }), (steps, numbers) => {
        const { kernel, host, leader, marked, mark, tree } = machine(numbers);
        /** What descends from the leader or from a process that had the mark; only this may ever get a signal. */
        const ours = new Map([[leader.pid, leader.startTime]]);
        const isOurs = ({ pid, startTime }: ProcessRow) => ours.get(pid) === startTime;
        for (const { does, which } of steps) {
          const acting = kernel.living().filter(({ pid }) => pid !== 1 && pid !== host.pid);
          const actor = acting[which % Math.max(acting.length, 1)] ?? host;
          if (does === 'fork' || does === 'fork own') {
            const child = kernel.fork(actor.pid, does === 'fork own' ? 'own session' : undefined);
            if (child === undefined) continue;
            if (isOurs(actor)) ours.set(child.pid, child.startTime);
            if (marked.has(actor.pid)) marked.add(child.pid);
            else marked.delete(child.pid);
          } else if (does === 'exec marked') {
            if (actor === host || actor.startTime < leader.startTime) continue;
            mark(actor);
            for (const row of [actor, ...below(kernel, actor)]) ours.set(row.pid, row.startTime);
          } else if (does === 'drop') marked.delete(actor.pid);
          else if (does === 'collect') {
            const zombie = [...kernel.rows.values()].find(({ dead }) => dead);
            if (zombie) kernel.collect(zombie.pid);
            if (zombie?.pid === leader.pid && zombie.startTime === leader.startTime) tree.leaderExited();
          } else if (actor !== host) kernel[does](actor.pid);
          const members = tree.refresh();
          for (const row of members) expect(isOurs(row)).toBe(true);
          const groups = tree.groupsOf(members);
          for (const row of kernel.living()) if (groups.has(row.group)) expect(isOurs(row)).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe('a platform', () => {
  it('[MARK-11] reads the marks of a process, and does not judge them', () => {
    const { marks } = linux as Platform;
    expect(marks?.(process.pid)?.marks ?? []).toEqual(expect.any(Array));
    expect(marks?.(2 ** 22)).toBeUndefined();
  });
});
