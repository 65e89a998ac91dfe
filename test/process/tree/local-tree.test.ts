import { describe, expect, it } from 'vitest';
import { InstanceCgroup } from '../../../src/process/cgroup/instance-cgroup.js';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { LocalTree } from '../../../src/process/tree/local-tree.js';
import { FakeKernel } from '../../helpers/fake-kernel.js';

/** A kernel whose processes can be held, as in the table of Linux. */
class HoldingKernel extends FakeKernel {
  /** Whether only what is held can be read: no descriptor is free. */
  isFull = false;

  hold(pid: number): ProcessRow | undefined {
    return this.read(pid);
  }

  override scan(): Map<number, ProcessRow> {
    if (this.isFull) throw new Error('EMFILE');
    return super.scan();
  }
}

function setup(
  containment: 'markers' | 'group',
  { mayNotSignal = (_pid: number): boolean => false } = {},
  has?: 'cgroup',
) {
  const kernel = new HoldingKernel();
  const host = kernel.fork(1, 'own session')!;
  const leader = kernel.fork(host.pid, 'own session')!;
  const signals: string[] = [];
  const platform: Platform = {
    ...linux,
    table: kernel,
    marks: undefined,
    pace: { firstPoll: 1, longestPoll: 2, killGrace: 20 },
    signalGroup: (group, signal) => void signals.push(`${signal} -${group}`),
    signalProcess: (pid, signal) => void signals.push(`${signal} ${pid}`),
    mayNotSignal,
    hasGroup: (group) => [...kernel.rows.values()].some((row) => row.group === group),
  };
  const calls: string[] = [];
  const cgroup = {
    pids: () => new Set(kernel.living().flatMap(({ pid }) => (pid > host.pid ? [pid] : []))),
    kill: () => void signals.push('cgroup.kill'),
    killUnless: InstanceCgroup.prototype.killUnless,
  } as unknown as InstanceCgroup;
  const tree = new LocalTree({
    leader,
    start: { containment, mark: undefined, markers: { environment: false, rlimit: false }, cgroup: has && cgroup },
    platform,
    closeStdin: () => {},
    onDead: () => void calls.push('dead'),
    onGroupLeft: () => void calls.push('group left'),
  });
  const exit = () => {
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    tree.leaderExited();
  };
  return { kernel, leader, tree, signals, calls, exit };
}

describe('the group of a leader that has exited', () => {
  it('[REUSE-5] is taken from the guardian at the exit, when nothing is left in it', () => {
    const { calls, exit } = setup('group');
    exit();
    expect(calls).toEqual(['group left']);
  });

  it.each(['markers', 'group'] as const)('[REUSE-5] stays with it as long as a member is in it (%s)', async (how) => {
    const { kernel, leader, tree, calls, exit } = setup(how);
    const child = kernel.fork(leader.pid)!;
    exit();
    expect(calls).toEqual([]);
    const survived = await tree.end({ mode: 'emergency' }, { eofGrace: 0, termGrace: 0 });
    expect([survived.survivors.map(({ pid }) => pid), calls]).toEqual([[child.pid], []]);
    kernel.exit(child.pid);
    await tree.end({ mode: 'emergency' }, { eofGrace: 0, termGrace: 0 });
    // The guardian forgets the group with the server.
    expect(calls).toEqual(['dead']);
  });

  it('[REUSE-5] is taken from it while a helper with a group of its own does not die', async () => {
    const { kernel, leader, tree, calls, exit } = setup('markers');
    const apart = kernel.fork(leader.pid, 'own session')!;
    tree.plan('graceful', { eofGrace: 0, termGrace: 0 });
    exit();
    const { survivors } = await tree.end({ mode: 'emergency' }, { eofGrace: 0, termGrace: 0 });
    expect(survivors.map(({ pid }) => pid)).toEqual([apart.pid]);
    expect(calls).toEqual(['group left']);
  });
});

describe('a kill at once, of a server with a cgroup', () => {
  it('[CGROUP-8] is one signal where each process may be signalled', () => {
    const { kernel, leader, tree, signals } = setup('markers', {}, 'cgroup');
    kernel.fork(leader.pid);
    tree.killAll('the ladder follows');
    expect(signals).toEqual([`SIGKILL -${leader.pid}`]);
  });

  it.each(['in the group', 'in a group of its own'])('[CGROUP-8] kills a process of another user %s', (where) => {
    const raised = { pid: 0 };
    const { kernel, leader, tree, signals } = setup('markers', { mayNotSignal: (pid) => pid === raised.pid }, 'cgroup');
    raised.pid = kernel.fork(leader.pid, where === 'in the group' ? undefined : 'own session')!.pid;
    tree.killAll('the ladder follows');
    expect(signals.at(-1)).toBe('cgroup.kill');
  });
});

describe('a kill where the table cannot be read', () => {
  it.each(['markers', 'group'] as const)('[REUSE-7] reaches the group of a leader that lives (%s)', (how) => {
    const { kernel, leader, tree, signals } = setup(how);
    kernel.isFull = true;
    tree.killNow();
    expect(signals).toEqual([`SIGKILL -${leader.pid}`]);
  });

  it('[REUSE-7] reaches it when nothing at all is known', () => {
    const { kernel, leader, tree, signals } = setup('markers');
    kernel.failing = true;
    tree.killNow();
    expect(signals).toEqual([`SIGKILL -${leader.pid}`]);
  });

  it.each(['its number is free', 'its number is that of another process'])(
    '[REUSE-7] reaches none when the leader was collected, and that is not reported yet: %s',
    async (what) => {
      const { kernel, leader, tree, signals } = setup('markers');
      kernel.exit(leader.pid);
      kernel.collect(leader.pid);
      if (what !== 'its number is free') kernel.add({ pid: leader.pid, parent: 1, startTime: 99 });
      kernel.isFull = true;
      tree.killNow();
      tree.killAll();
      await expect(tree.end({ mode: 'emergency' }, { eofGrace: 0, termGrace: 0 })).rejects.toThrow('EMFILE');
      expect(signals).toEqual([]);
    },
  );

  it('[REUSE-7] waits for the report of an exit that Node has collected already', async () => {
    const { kernel, tree, signals } = setup('markers');
    kernel.failing = true;
    setImmediate(() => tree.leaderExited());
    await expect(tree.end({ mode: 'emergency' }, { eofGrace: 0, termGrace: 0 })).rejects.toThrow('EMFILE');
    expect(signals).toEqual([]);
  });
});

describe('a signal outside of an end', () => {
  it('[REUSE-2] goes to the leader alone, or to all', () => {
    const { kernel, leader, tree, signals } = setup('markers');
    kernel.fork(leader.pid);
    const apart = kernel.fork(leader.pid, 'own session')!;
    expect(tree.signal('SIGTERM', 'leader')).toBe(true);
    expect(signals.splice(0)).toEqual([`SIGTERM ${leader.pid}`]);
    expect(tree.signal('SIGSTOP', 'tree')).toBe(true);
    expect(signals).toEqual([`SIGSTOP -${leader.pid}`, `SIGSTOP -${apart.pid}`]);
  });

  it.each(['leader', 'tree'] as const)(
    '[REUSE-2] goes to no leader that is dead, and to no other process (%s)',
    (reach) => {
      const { kernel, leader, tree, signals } = setup('markers');
      kernel.exit(leader.pid);
      expect(tree.signal('SIGKILL', reach)).toBe(false);
      kernel.collect(leader.pid);
      // Node has not reported it yet.
      kernel.add({ pid: leader.pid, parent: 1, startTime: 99 });
      expect(tree.signal('SIGKILL', reach)).toBe(false);
      kernel.remove(leader.pid);
      tree.leaderExited();
      expect(tree.signal('SIGKILL', reach)).toBe(false);
      expect(signals).toEqual([]);
    },
  );
});

describe('the steps of an end', () => {
  const graces = { eofGrace: 0, termGrace: 0 };

  it('[CLEAN-8] are told when they are taken, also those of an end that cannot read the table', async () => {
    const { kernel, leader, tree, exit } = setup('markers');
    kernel.fork(leader.pid);
    const told: string[] = [];
    const onStep = (step: string, processes: number) => {
      told.push(`${step} ${processes}`);
      if (step === 'SIGTERM') kernel.failing = true;
    };
    await expect(tree.end({ mode: 'graceful', onStep }, graces)).rejects.toThrow();
    expect(told).toEqual(['eof 2', 'SIGTERM 2']);
    kernel.failing = false;
    exit();
  });

  it('[CLEAN-8] include a kill before the ladder, and one while it is climbed, each once', async () => {
    const { kernel, leader, tree, exit } = setup('markers');
    const child = kernel.fork(leader.pid)!;
    const told: string[] = [];
    const onStep = (step: string, processes: number) => void told.push(`${step} ${processes}`);
    tree.killAll('the ladder follows');
    expect(told).toEqual([]);
    const ending = tree.end({ mode: 'graceful', onStep }, { eofGrace: 50, termGrace: 0 });
    expect(told[0]).toBe('SIGKILL 2');
    tree.killAll('the ladder follows');
    expect(told.filter((step) => step.startsWith('SIGKILL'))).toHaveLength(2);
    kernel.exit(child.pid);
    exit();
    await ending;
    const again: string[] = [];
    await tree.end({ mode: 'emergency', onStep: (step) => void again.push(step) }, graces);
    expect(again).toEqual([]);
  });
});
