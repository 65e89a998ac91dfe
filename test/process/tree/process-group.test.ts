import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MARK_VARIABLE } from '../../../src/process/marks/marker.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { ProcessGroup } from '../../../src/process/tree/process-group.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { FakeKernel } from '../../helpers/fake-kernel.js';
import { launch } from '../../helpers/launch.js';
import { MARKER, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const pids = (rows: readonly { pid: number }[]) => rows.map(({ pid }) => pid).sort((a, b) => a - b);

function tree() {
  const kernel = new FakeKernel();
  const host = kernel.fork(1, 'own session')!;
  const leader = kernel.fork(host.pid, 'own session')!;
  return { kernel, host, leader, group: new ProcessGroup(kernel, leader) };
}

describe('the group of a server', () => {
  it('[CONTAIN-2] has the processes that stay in it, whatever their parent is, and no others', () => {
    const { kernel, leader, group } = tree();
    const child = kernel.fork(leader.pid)!;
    const orphan = kernel.fork(child.pid)!;
    kernel.exit(child.pid);
    const apart = kernel.fork(leader.pid)!;
    kernel.setpgid(apart.pid);
    kernel.fork(leader.pid, 'own session');
    expect(pids(group.refresh())).toEqual([leader.pid, orphan.pid]);
    expect(pids(group.living())).toEqual([leader.pid, orphan.pid]);
    expect([...group.groupsOf(group.living())]).toEqual([leader.pid]);
  });

  it('[CONTAIN-2] [STRANGER-1] has the processes that its leader leaves, but none that gets its number later', () => {
    const { kernel, leader, group } = tree();
    const child = kernel.fork(leader.pid)!;
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    expect(pids(group.leaderExited())).toEqual([child.pid]);
    kernel.exit(child.pid);
    // The next one to get the number leads a group of it again.
    kernel.add({ pid: leader.pid, parent: 1, startTime: 99 });
    expect(group.refresh()).toEqual([]);
    expect(group.living()).toEqual([]);
  });

  it('[CONTAIN-2] [STRANGER-1] has no process when the number was given again at once', () => {
    const { kernel, leader, group } = tree();
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    kernel.add({ pid: leader.pid, parent: 1, startTime: 99 });
    expect(group.leaderExited()).toEqual([]);
    expect(group.refresh()).toEqual([]);
  });
});

/** A process that gets the number of the leader, begins a session, starts a child and exits, as a daemon does. */
function daemonize(kernel: FakeKernel, number: number, own: Partial<ProcessRow> = {}) {
  kernel.add({ pid: number, parent: 1, startTime: 1_000, ...own });
  const child = kernel.fork(number)!;
  kernel.change(child.pid, { startTime: 1_001 });
  kernel.exit(number);
  return child;
}

describe('the number of the group, when the group was empty', () => {
  const exited = (hasGroup?: () => boolean) => {
    const { kernel, leader } = tree();
    const group = new ProcessGroup(kernel, leader, undefined, hasGroup);
    const child = kernel.fork(leader.pid)!;
    kernel.exit(leader.pid);
    kernel.collect(leader.pid);
    return { kernel, leader, group, child };
  };
  const signalled = (group: ProcessGroup, kernel: FakeKernel) => {
    const groups: number[] = [];
    group.killUnseen({ table: kernel, signalGroup: (of) => void groups.push(of), signalProcess: () => {} });
    return groups;
  };

  it.each(['at the exit', 'later'])('[REUSE-5] is never ours again: %s', (when) => {
    const { kernel, leader, group, child } = exited();
    if (when === 'at the exit') kernel.exit(child.pid);
    group.leaderExited();
    if (when === 'later') {
      kernel.exit(child.pid);
      group.refresh();
    }
    expect(group.hasLeaderGroup).toBe(false);
    const stranger = daemonize(kernel, leader.pid);
    expect(kernel.rows.get(stranger.pid)).toMatchObject({ group: leader.pid, session: leader.pid, parent: 1 });
    expect([group.refresh(), group.living(), signalled(group, kernel)]).toEqual([[], [], []]);
  });

  it('[REUSE-5] belongs to the server as long as the kernel knows a process there, also one that no look shows', () => {
    const { kernel, group, child } = exited(() => true);
    kernel.exit(child.pid);
    expect(group.leaderExited()).toEqual([]);
    expect(group.hasLeaderGroup).toBe(true);
    expect(signalled(group, kernel)).toHaveLength(1);
  });

  it('[REUSE-5] is not ours when all that had got SIGKILL are gone: what is there was not started by them', () => {
    const { kernel, leader, group, child } = exited(() => true);
    group.leaderExited();
    expect(signalled(group, kernel)).toEqual([leader.pid]);
    // It does not die yet (an uninterruptible system call).
    expect(pids(group.refresh())).toEqual([child.pid]);
    kernel.exit(child.pid);
    const stranger = daemonize(kernel, leader.pid);
    expect([group.living(), group.refresh(), signalled(group, kernel)]).toEqual([[], [], []]);
    expect([group.hasLeaderGroup, kernel.rows.has(stranger.pid)]).toEqual([false, true]);
  });

  it('[REUSE-5] [PROOF-1] is ours while one lives that may not be signalled, with what it starts', () => {
    const { kernel, leader, group, child } = exited();
    group.leaderExited();
    expect(signalled(group, kernel)).toEqual([leader.pid]);
    const next = kernel.fork(child.pid)!;
    expect(pids(group.refresh())).toEqual(pids([child, next]));
    const third = kernel.fork(next.pid)!;
    kernel.exit(child.pid);
    expect(pids(group.refresh())).toEqual(pids([next, third]));
  });

  it('[REUSE-5] is not ours in another session: a job of a terminal', () => {
    const { kernel, leader, group, child } = exited();
    group.leaderExited();
    kernel.exit(child.pid);
    const job = daemonize(kernel, leader.pid, { session: 1 });
    expect(kernel.rows.get(job.pid)).toMatchObject({ group: leader.pid, session: 1 });
    expect(group.refresh()).toEqual([]);
  });
});

describe("a server with containment: 'group'", () => {
  const SCRIPT = 'setsid sleep 50 "$0" & sleep 50 "$0" & cat >/dev/null; sleep 50 "$0"';
  const start = async (script: string, count: number) => {
    const tag = newTag();
    const server = launch({
      ...{ command: 'sh', args: ['-c', script, tag], inheritEnv: [MARKER], eofGrace: 100, termGrace: 60_000 },
      containment: 'group',
    });
    await until('all are there', () => {
      const there = tagged(tag).filter(({ command }) => command === 'sleep');
      return there.length === count && there.some(({ pid, session }) => pid === session);
    });
    return { tag, server };
  };
  const expectOthersDead = (tag: string) => {
    const [one, ...others] = tagged(tag);
    expect(others).toEqual([]);
    expect(one).toMatchObject({ command: 'sleep', session: one?.pid });
  };

  it.each(['graceful', 'emergency'] as const)('[CONTAIN-2] leaves alone what has left it (%s)', async (mode) => {
    const { tag, server } = await start(SCRIPT, 2);
    expect(await server.process.end({ mode })).toMatchObject({ survivors: [] });
    expectOthersDead(tag);
  });

  it('[CONTAIN-2] ends what stays in it although its leader has exited', async () => {
    const { tag, server } = await start('setsid sleep 50 "$0" & sleep 50 "$0" & read -r line', 2);
    server.process.stdin.end();
    await server.exited;
    expect(await server.process.end({ mode: 'graceful' })).toMatchObject({ survivors: [], endedBy: 'SIGTERM' });
    expectOthersDead(tag);
  });

  it('[CONTAIN-2] leaves it alone in the last tick of the host, too', async () => {
    const { tag, server } = await start(SCRIPT, 2);
    server.process.killNow();
    await until('the others are dead', () => tagged(tag).length === 1);
    expectOthersDead(tag);
  });

  it('[CONTAIN-2] bears no mark, is in no cgroup, and has no shell before it', async () => {
    const { server } = await start(SCRIPT, 2);
    const own = readFileSync(`/proc/${server.pid}/environ`, 'latin1').split('\0');
    expect(own.filter((entry) => entry.startsWith(`${MARK_VARIABLE}=`))).toEqual([]);
    expect(readFileSync(`/proc/${server.pid}/limits`, 'latin1')).toMatch(/^Max file locks +unlimited/m);
    const groups = [server.pid, process.pid].map((pid) => readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
    expect(groups[0]).toBe(groups[1]);
    expect(readProcess(server.pid)?.group).toBe(server.pid);
  });
});
