import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerDefinition } from '../../../src/config/options.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import type { ProcessTable } from '../../../src/process/process-table.js';
import type { TerminationReport } from '../../../src/process/termination-report.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { endTree, type TerminationTarget } from '../../../src/process/tree/termination.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { fixture, wrapped } from '../../helpers/fixture.js';
import { launch } from '../../helpers/launch.js';
import { descendants, isLiving, marked, readProcess } from '../../helpers/processes.js';
import { flush, until } from '../../helpers/until.js';

const SHORT = { eofGrace: 150, termGrace: 150 };
/** More than any test waits: what ends sooner did not end by its grace. */
const LONG = { eofGrace: 60_000, termGrace: 60_000 };

/** Starts a server and waits until it answers. */
async function running(definition: ServerDefinition, graces: Partial<ServerDefinition> = LONG) {
  const server = launch({ ...definition, ...graces }, { listen: true });
  await server.request('initialize');
  return server;
}

const stepsOf = (report: TerminationReport) => report.steps.map(({ step }) => step);

function expectEnded(report: TerminationReport): void {
  expect(report.survivors).toEqual([]);
  expect(marked()).toEqual([]);
}

/** A process of the host itself, in the host's own group, that no ending may touch. */
function bystander(detached = false): number {
  const child = spawn('sleep', ['100'], { stdio: 'ignore', detached });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child.pid as number;
}

describe('the ladder', () => {
  it('[LADDER-1] [LADDER-5] ends a server that obeys by closing its stdin', async () => {
    const server = await running(fixture('echo'));
    const report = await server.process.end({ mode: 'graceful' });
    expect(report).toMatchObject({ pid: server.pid, endedBy: 'eof', steps: [{ step: 'eof', processes: 1 }] });
    expect(report.duration).toBeLessThan(LONG.eofGrace);
    expectEnded(report);
    expect(await server.exited).toEqual({ exitCode: 0, signal: null });
  });

  it('[LADDER-1] sends SIGTERM to one that ignores end of file alone', async () => {
    const server = await running(fixture('ignore-eof-and-term', '--obey-term'), { ...LONG, eofGrace: 100 });
    const report = await server.process.end({ mode: 'graceful' });
    expect(stepsOf(report)).toEqual(['eof', 'SIGTERM']);
    expect(report.endedBy).toBe('SIGTERM');
    expectEnded(report);
    expect(await server.exited).toEqual({ exitCode: null, signal: 'SIGTERM' });
  });

  it('[LADDER-2] [LADDER-5] kills one that ignores end of file and SIGTERM, after both graces', async () => {
    const server = await running(fixture('ignore-eof-and-term'), SHORT);
    const report = await server.process.end({ mode: 'graceful' });
    expect(stepsOf(report)).toEqual(['eof', 'SIGTERM', 'SIGKILL']);
    expect(report.endedBy).toBe('SIGKILL');
    const [eof = 0, term = 0, kill = 0] = report.steps.map(({ at }) => at);
    expect(term - eof).toBeGreaterThanOrEqual(SHORT.eofGrace - 5);
    expect(kill - term).toBeGreaterThanOrEqual(SHORT.termGrace - 5);
    expect(report.duration).toBeGreaterThanOrEqual(kill);
    expectEnded(report);
    expect(await server.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
    await server.process.drained();
    // Once: a second SIGTERM means "now" to many a server.
    expect(server.stderr).toEqual(['ignoring SIGTERM']);
  });

  it('[LADDER-3] ends a shell and the server in it', async () => {
    const server = await running(wrapped('echo'));
    const tree = descendants(server.pid);
    expect(tree.length).toBe(1);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report).toMatchObject({ steps: [{ step: 'eof', processes: 2 }] });
    expect(report.steps).toHaveLength(1);
    expectEnded(report);
    expect(tree.filter(({ pid }) => isLiving(pid))).toEqual([]);
  });

  it('[LADDER-2] [LADDER-3] kills a shell and the server in it that ignores everything', async () => {
    const server = await running(wrapped('ignore-eof-and-term'), SHORT);
    const report = await server.process.end({ mode: 'graceful' });
    // SIGTERM ends the shell alone: the server must not be lost with its parent.
    expect(report.steps.map(({ step, processes }) => [step, processes])).toEqual([
      ['eof', 2],
      ['SIGTERM', 2],
      ['SIGKILL', 1],
    ]);
    expectEnded(report);
  });

  it.each([
    ['in its group', [], 'SIGTERM'],
    ['in a session of its own', ['--setsid'], 'SIGTERM'],
    ['in its group, ignoring SIGTERM', ['--ignore-term'], 'SIGKILL'],
    ['in a session of its own, ignoring SIGTERM', ['--ignore-term', '--setsid'], 'SIGKILL'],
  ])('[LADDER-4] ends a server with a helper that holds stdout, %s', async (_where, args, endedBy) => {
    const graces = endedBy === 'SIGTERM' ? LONG : { ...LONG, termGrace: 150 };
    const server = await running(fixture('helper-holds-stdout', ...args), graces);
    const helper = Number(await server.callTool('helper'));
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.endedBy).toBe(endedBy);
    expect(isLiving(helper)).toBe(false);
    // The server itself has exited: its helper gets no whole eofGrace of 60 s after it.
    expect(report.duration).toBeLessThan(LONG.eofGrace);
    expectEnded(report);
    await server.process.drained();
    expect(server.process.stdout.destroyed).toBe(true);
  });

  it('[LADDER-4] [KIN-1] ends what a server has left behind that exited by itself', async () => {
    const server = await running(fixture('helper-holds-stdout', '--exit'));
    const helper = Number(await server.callTool('helper'));
    expect(await server.exited).toEqual({ exitCode: 0, signal: null });
    expect(isLiving(helper)).toBe(true);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.endedBy).toBe('SIGTERM');
    expect(isLiving(helper)).toBe(false);
    expectEnded(report);
  });

  it('[LADDER-4] killNow kills what can be killed at once', async () => {
    const server = await running(fixture('helper-holds-stdout', '--ignore-term', '--setsid'));
    const helper = Number(await server.callTool('helper'));
    server.process.killNow();
    await until('both are dead', () => !isLiving(helper) && !isLiving(server.pid));
    expect(await server.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
    server.process.killNow();
  });

  it('[LADDER-5] [LADDER-7] says of what killNow has killed that it was killed', async () => {
    const server = await running(fixture('fork-tree', '--count=5', '--ignore-term', '--ignore-eof'));
    // All are there.
    await server.callTool('children');
    server.process.killNow();
    await until('all are dead', () => marked().length === 0);
    const report = await server.process.end({ mode: 'emergency' });
    expect(report).toMatchObject({ endedBy: 'SIGKILL', steps: [{ step: 'SIGKILL', processes: 6 }], survivors: [] });
  });

  it.each([
    ['in one group', []],
    ['each in a session of its own', ['--setsid']],
  ])('[LADDER-3] [LADDER-5] ends a tree of 1+50, %s', async (_where, args) => {
    const server = await running(fixture('fork-tree', '--count=50', '--ignore-term', '--ignore-eof', ...args), SHORT);
    const children = (await server.callTool('children')) as number[];
    expect(children.filter(isLiving)).toHaveLength(50);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.steps[0]).toMatchObject({ step: 'eof', processes: 51 });
    expect(report.endedBy).toBe('SIGKILL');
    expectEnded(report);
    expect(children.filter(isLiving)).toEqual([]);
  });

  it('[LADDER-7] kills a tree of 1+50 at once in an emergency', async () => {
    const server = await running(fixture('fork-tree', '--count=50'));
    const children = (await server.callTool('children')) as number[];
    const report = await server.process.end({ mode: 'emergency' });
    expect(stepsOf(report)).toEqual(['SIGKILL']);
    expectEnded(report);
    expect(children.filter(isLiving)).toEqual([]);
  });

  it('[PROOF-2] waits for no zombie', async () => {
    const server = await running(fixture('fork-tree', '--count=0'), SHORT);
    const parent = Number(await server.callTool('zombies', { count: 5 }));
    const zombies = await until('five children of it are zombies', () => {
      const found = [...linuxProcessTable.scan().values()].filter((row) => row.parent === parent && row.dead);
      return found.length === 5 && found;
    });
    const report = await server.process.end({ mode: 'graceful' });
    // The server and the one that collects nothing; not the five.
    expect(report.steps[0]).toMatchObject({ processes: 2 });
    expectEnded(report);
    for (const { pid, startTime } of zombies) {
      const left = readProcess(pid);
      expect(left === undefined || left.zombie || left.startTime !== startTime).toBe(true);
    }
  });

  it('[LADDER-7] goes to SIGKILL at once when its caller is in a hurry, at any rung', async () => {
    const server = await running(fixture('ignore-eof-and-term'));
    const hurry = new AbortController();
    const ending = server.process.end({ mode: 'graceful', signal: hurry.signal });
    hurry.abort();
    const report = await ending;
    expect(stepsOf(report)).toEqual(['eof', 'SIGKILL']);
    expectEnded(report);

    const second = await running(fixture('ignore-eof-and-term'), { ...LONG, eofGrace: 1 });
    const later = new AbortController();
    const other = second.process.end({ mode: 'graceful', signal: later.signal });
    await until('SIGTERM is ignored', () => second.stderr.includes('ignoring SIGTERM'));
    later.abort();
    expect(stepsOf(await other)).toEqual(['eof', 'SIGTERM', 'SIGKILL']);

    const third = await running(fixture('echo'));
    expect(stepsOf(await third.process.end({ mode: 'graceful', signal: AbortSignal.abort() }))).toEqual(['SIGKILL']);
  });

  it('[LADDER-8] ends a chain of processes that fork while it is ended', async () => {
    // Each generation starts the next and exits; bounded by its own count.
    const script = 'f() { [ "$1" -gt 0 ] && { sleep 0.005; f $(($1-1)) & }; }; trap "" TERM; f 400; sleep 60';
    const server = launch({
      command: 'sh',
      args: ['-c', script],
      inheritEnv: ['MCP_POOL_TEST'],
      eofGrace: 60,
      termGrace: 60,
    });
    await server.spawned;
    await until('it forks', () => descendants(server.pid).length > 0);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.endedBy).toBe('SIGKILL');
    expectEnded(report);
  });

  it('[LADDER-8] looks again after it has killed, and kills what it had not seen', async () => {
    // A job of a shell has a group of its own, so no signal to the group of the server reaches it.
    const hidden = new Set<number>();
    const table: ProcessTable = {
      read: (pid) => linuxProcessTable.read(pid),
      scan: () => new Map([...linuxProcessTable.scan()].filter(([pid]) => !hidden.has(pid))),
    };
    const script = 'set -m; sleep 110 & wait';
    const server = launch(
      { command: 'bash', args: ['--norc', '-c', script], inheritEnv: ['MCP_POOL_TEST'] },
      { table },
    );
    const job = await until('the job runs', () => descendants(server.pid).find(({ group, pid }) => group === pid));
    expect(job).toMatchObject({ session: server.pid });
    hidden.add(job.pid);
    const ending = server.process.end({ mode: 'emergency' });
    // As if it had been forked after the first look.
    hidden.clear();
    expectEnded(await ending);
    expect(isLiving(job.pid)).toBe(false);
  });

  it('[LADDER-5] says that nothing was needed when the server was dead already', async () => {
    const server = await running(fixture('exit-after'));
    server.callTool('exit', { code: 4 }).catch(() => {});
    expect(await server.exited).toEqual({ exitCode: 4, signal: null });
    const report = await server.process.end({ mode: 'graceful' });
    expect(report).toMatchObject({ pid: server.pid, endedBy: 'exit', steps: [], survivors: [] });
    expect(await server.process.end({ mode: 'emergency' })).toMatchObject({ endedBy: 'exit', steps: [] });
  });

  it('[LADDER-1] ends a server that has closed its stdin', async () => {
    const server = await running(fixture('closes-stdin'), { ...LONG, eofGrace: 100 });
    await server.callTool('close');
    await until('its stdin is closed', () => {
      server.process.stdin.write('{"jsonrpc":"2.0","method":"notifications/nothing"}\n');
      return server.process.stdin.destroyed;
    });
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.endedBy).toBe('SIGTERM');
    expectEnded(report);
  });

  it('[LADDER-1] takes an infinite grace for what it says, without a warning', async () => {
    const warnings: Error[] = [];
    const listener = (warning: Error) => warnings.push(warning);
    process.on('warning', listener);
    onTestFinished(() => {
      process.off('warning', listener);
    });
    const server = await running(fixture('echo'), { eofGrace: Infinity, termGrace: Infinity });
    const report = await server.process.end({ mode: 'graceful' });
    expect(stepsOf(report)).toEqual(['eof']);
    await flush();
    expect(warnings.map(({ name }) => name)).toEqual([]);
  });

  it('[STRANGER-1] touches neither the group of the host nor other processes', async () => {
    const inGroup = bystander();
    const ofItsOwn = bystander(true);
    const server = await running(fixture('fork-tree', '--count=3', '--ignore-term'), SHORT);
    const other = await running(fixture('echo'));
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.survivors).toEqual([]);
    expect([inGroup, ofItsOwn, other.pid].filter(isLiving)).toHaveLength(3);
    await other.process.end({ mode: 'emergency' });
    expect([inGroup, ofItsOwn].filter(isLiving)).toHaveLength(2);
  });

  it('[STRANGER-1] [PROOF-2] sends no signal to a stranger that has got the pid of the leader', async () => {
    const pid = bystander(true);
    const startTime = readProcess(pid)?.startTime ?? 0;
    const target = targetOf(new ProcessTree(linuxProcessTable, { pid, startTime: startTime - 1 }), pid);
    for (const mode of ['graceful', 'emergency'] as const) {
      expect(await endTree(target, SHORT, mode)).toMatchObject({ endedBy: 'exit', steps: [], survivors: [] });
    }
    expect(isLiving(pid)).toBe(true);
  });

  it('[LADDER-6] [PROOF-1] gives up in bounded time on what cannot be killed, and names it', async () => {
    const table = new FakeTable();
    // Pids that no process can have: the signals reach nothing, and the table says that all live on.
    const leader = table.add({ pid: 10_000_000, command: 'stuck' });
    table.add({ pid: 10_000_001, parent: leader.pid, group: leader.pid, session: leader.pid, command: 'stuck too' });
    const target = targetOf(new ProcessTree(table, leader), leader.pid);
    const report = await endTree(target, { eofGrace: 10, termGrace: 10 }, 'graceful');
    expect(stepsOf(report)).toEqual(['eof', 'SIGTERM', 'SIGKILL']);
    expect(report.survivors).toEqual([
      { pid: 10_000_000, command: 'stuck' },
      { pid: 10_000_001, command: 'stuck too' },
    ]);
    expect(report.duration).toBeLessThan(LONG.eofGrace);
    table.remove(10_000_000);
    table.change(10_000_001, { dead: true });
    expect(await endTree(target, { eofGrace: 10, termGrace: 10 }, 'emergency')).toMatchObject({ survivors: [] });
  });
});

/** A leader that never reports its exit. */
function targetOf(tree: ProcessTree, pid: number): TerminationTarget {
  return { pid, platform: linux, tree, closeStdin: () => {}, hasExited: () => false, onceExited: () => {} };
}
