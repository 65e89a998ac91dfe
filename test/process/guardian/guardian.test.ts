import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forgetProblems, knownProblems } from '../../../src/process/containment-problems.js';
import { Guardian, type GuardianPlan, guardianCommand } from '../../../src/process/guardian/guardian.js';
import { guardianLine, procIdentity, psIdentity } from '../../../src/process/guardian/guardian-script.js';
import { type HostMark, newHostMark, rlimitValue } from '../../../src/process/marks/marker.js';
import { findPs } from '../../../src/process/platforms/ps.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { killProcess, readProcess } from '../../helpers/processes.js';
import { reaperUrl } from '../../helpers/reaper-url.js';
import { until } from '../../helpers/until.js';

const SHELLS = ['/bin/sh', '/bin/dash', '/bin/bash'].filter((path) => existsSync(path));
const TABLES = [
  { name: '/proc', identity: procIdentity, start: (pid: number) => readProcess(pid)?.startTime ?? -1 },
  { name: 'ps', identity: psIdentity('/bin/ps'), start: (pid: number) => findPs().read(pid)?.startTime ?? -1 },
];

/** A reaper that does nothing but to note how it was called. */
function fakeReaper(text = 'require("fs").writeFileSync(process.argv[1] + ".ran", process.argv.slice(2).join(" "))') {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'reaper.cjs');
  writeFileSync(file, text);
  const calls = () => (existsSync(`${file}.ran`) ? readFileSync(`${file}.ran`, 'utf8') : undefined);
  return { program: { executable: process.execPath, file, env: {} }, calls };
}

function plan(more: Partial<GuardianPlan> = {}): GuardianPlan {
  const { program } = fakeReaper();
  const host = newHostMark();
  return {
    ...{ shell: '/bin/sh', reaper: program, host, since: 0, ledger: undefined, cgroups: [] },
    ...more,
  };
}

/** A guardian whose pipe the test holds. */
function guard(given: GuardianPlan, identity = procIdentity) {
  const { file, args } = guardianCommand(given, identity) ?? { file: '', args: [] };
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, ended: once(child, 'exit'), tell: (line: string) => void child.stdin?.write(line) };
}

/** Leader of a session and a group of its own, with a helper in it. */
async function group(mark?: HostMark): Promise<ChildProcess & { readonly pid: number }> {
  const limit = mark ? `ulimit -S -w ${rlimitValue({ host: mark, instance: 1 })};` : '';
  const child = spawn('sh', ['-c', `${limit} sleep 50 & exec sleep 50`], { stdio: 'ignore', detached: true });
  const pid = child.pid as number;
  const members = () => tagged('50').filter((row) => row.group === pid && row.command === 'sleep');
  onTestFinished(() => members().forEach(killProcess));
  await until('the group is there', () => members().length === 2);
  return Object.assign(child, { pid });
}

const members = (pid: number) => tagged('50').filter((row) => row.group === pid).length;

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGPIPE', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const;

function disposition(pid: number, which: 'SigIgn' | 'SigCgt', signal: string): boolean {
  const [, mask] = new RegExp(`^${which}:\\t([0-9a-f]+)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal as NodeJS.Signals] - 1)) & 1n) === 1n;
}

const ignores = (pid: number, signal: string) => disposition(pid, 'SigIgn', signal);
const catches = (pid: number, signal: string) => disposition(pid, 'SigCgt', signal);

describe.each(SHELLS)('the guardian in %s', (shell) => {
  it.each(TABLES)('[GUARD-1] [GUARD-2] kills the groups it was told of, by $name', async ({ identity, start }) => {
    const { program, calls } = fakeReaper();
    const host = newHostMark();
    const groups = [await group(), await group(), await group(), await group()];
    const [told, forgotten, , another] = groups.map(({ pid }) => ({ pid, startTime: start(pid) }));
    const { ended, tell, child } = guard(plan({ shell, reaper: program, host, since: 7, ledger: '/l' }), identity);
    tell(guardianLine('+', told!, identity));
    tell(guardianLine('+', forgotten!, identity));
    tell(guardianLine('-', forgotten!, identity));
    // As if its number had been given again since.
    tell(guardianLine('+', { ...another!, startTime: another!.startTime - 2 }, identity));
    child.stdin?.end();
    await ended;
    expect(groups.map(({ pid }) => members(pid))).toEqual([0, 2, 2, 2]);
    expect(calls()).toBe(`sweep ${host.secret} 7 /l`);
  });

  it('[GUARD-1] outlives the signals that end its host', async () => {
    const { program, calls } = fakeReaper();
    const { child, ended, tell } = guard(plan({ shell, reaper: program }));
    const leader = await group();
    await until('it ignores them', () => SIGNALS.every((signal) => ignores(child.pid as number, signal)));
    for (const signal of SIGNALS) child.kill(signal);
    tell(guardianLine('+', { pid: leader.pid, startTime: readProcess(leader.pid)!.startTime }, procIdentity));
    child.stdin?.end();
    await ended;
    // What was sent SIGKILL dies a moment later on a busy machine.
    await until('its group is dead', () => members(leader.pid) === 0);
    expect(calls()).toMatch(/^sweep /);
  });

  it('[GUARD-3] ends without a sweep when it is told that nothing is left', async () => {
    const { program, calls } = fakeReaper();
    const { child, ended } = guard(plan({ shell, reaper: program }));
    child.stdin?.end('q\n');
    expect(await ended).toEqual([0, null]);
    expect(calls()).toBeUndefined();
  });

  it('[GUARD-5] sweeps by the limit itself when there is no Node, and touches nobody else', async () => {
    const host = newHostMark();
    const tag = newTag();
    const other = await group(newHostMark());
    const limit = `ulimit -S -w ${rlimitValue({ host, instance: 3 })} || ulimit -S -x ${rlimitValue({ host, instance: 3 })}`;
    const script = `${limit}; for i in 1 2 3; do env -i setsid sh -c 'sleep 50 "$0" & true' "$0" & done; wait`;
    await once(spawn('sh', ['-c', script, tag], { stdio: 'ignore' }), 'exit');
    await until('they are there', () => tagged(tag).filter(({ command }) => command === 'sleep').length === 3);
    const gone = { executable: '/no/such/node', file: '/no/reaper.js', env: {} };
    const { child, ended } = guard(plan({ shell, host, reaper: gone, since: readProcess(process.pid)!.startTime }));
    child.stdin?.end();
    await ended;
    expect(tagged(tag)).toEqual([]);
    expect(members(other.pid)).toBe(2);
  });
});

describe('a machine without room for one more process', () => {
  it.runIf(process.getuid?.() === 0)('[GUARD-5] is swept by the shell, which need not fork', async () => {
    const host = newHostMark();
    const tag = newTag();
    // A user of its own, so that nothing else counts; as many processes as may be.
    const uid = 61_900 + (process.pid % 90);
    const mark = rlimitValue({ host, instance: 3 });
    const script = `ulimit -S -w ${mark} || ulimit -S -x ${mark}; for i in 1 2 3; do setsid sleep 50 "$0" & done; wait`;
    const options = { stdio: 'ignore', uid, gid: uid } as const;
    const server = spawn('sh', ['-c', script, tag], options);
    onTestFinished(() => void server.kill('SIGKILL'));
    await until('they are there', () => tagged(tag).filter(({ command }) => command === 'sleep').length === 3);
    const { file, args } = guardianCommand(plan({ host }), procIdentity)!;
    const limited = ['-c', 'ulimit -u 1 2>/dev/null || ulimit -p 1; exec "$@"', 'sh', file, ...args];
    const child = spawn('sh', limited, { ...options, stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
    child.stdin.end();
    await once(child, 'exit');
    expect(tagged(tag).filter(({ command }) => command === 'sleep')).toEqual([]);
  });
});

describe('the reaper, where there is no shell', () => {
  it('[GUARD-5] hears what a shell would hear, and does what it does', async () => {
    const reaper = { executable: process.execPath, file: fileURLToPath(reaperUrl()), env: {} };
    const groups = [await group(), await group(), await group()];
    const [told, forgotten, another] = groups.map(({ pid }) => ({ pid, startTime: readProcess(pid)!.startTime }));
    const { child, ended, tell } = guard(plan({ shell: undefined, reaper }));
    await until('it ignores signals', () =>
      ['SIGHUP', 'SIGTERM'].every((signal) => catches(child.pid as number, signal)),
    );
    child.kill('SIGTERM');
    tell(guardianLine('+', told!, procIdentity));
    tell(guardianLine('+', forgotten!, procIdentity));
    tell(guardianLine('-', forgotten!, procIdentity));
    tell(guardianLine('+', { ...another!, startTime: another!.startTime - 1 }, procIdentity));
    child.stdin?.end();
    expect(await ended).toEqual([0, null]);
    expect(groups.map(({ pid }) => members(pid))).toEqual([0, 2, 2]);
  });

  it('[GUARD-6] refuses what it was never told by a guardian', async () => {
    for (const args of [
      [],
      ['sweep'],
      ['sweep', '', '0'],
      ['kill', newHostMark().secret, '0'],
      ['sweep', 'x', '0', ''],
    ]) {
      const child = spawn(process.execPath, [fileURLToPath(reaperUrl()), ...args], { stdio: 'ignore' });
      expect(await once(child, 'exit')).toEqual([1, null]);
    }
  });
});

describe('a host’s guardian', () => {
  function start(more: Partial<GuardianPlan> = {}) {
    const one = plan(more);
    const guardian = new Guardian(procIdentity, () => one);
    guardian.start();
    onTestFinished(async () => {
      guardian.end();
      await guardian.ended;
      forgetProblems('guardian');
    });
    return guardian;
  }

  it('[GUARD-4] is replaced, and told everything again', async () => {
    const { program: shell } = fakeReaper('#!/bin/sh\nexec cat >>"$0.$$"\n');
    chmodSync(shell.file, 0o755);
    const guardian = start({ shell: shell.file });
    const heard = (pid: number) => until('it hears', () => read(`${shell.file}.${pid}`));
    const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
    const [one, two] = [
      { pid: 11, startTime: 111 },
      { pid: 22, startTime: 222 },
    ];
    guardian.watch(one);
    guardian.watch(two);
    guardian.watchCgroup('/some/where');
    const first = guardian.pid as number;
    await until('it has heard all', () => read(`${shell.file}.${first}`) === '+ 11 111\n+ 22 222\nc /some/where\n');
    guardian.forget(one);
    process.kill(first, 'SIGKILL');
    const second = await until('another is there', () => guardian.pid !== first && guardian.pid);
    expect(await heard(second)).toBe('+ 22 222\n');
    expect(knownProblems().filter(({ part }) => part === 'guardian')).toEqual([]);
  });

  it('[GUARD-4] is given up when it cannot live, with a warning; the next server tries again', async () => {
    const guardian = start({ shell: '/bin/false' });
    await until('it is given up', () => knownProblems().some(({ part }) => part === 'guardian'));
    expect(knownProblems().find(({ part }) => part === 'guardian')?.reason).toMatch(/dies again and again/);
    expect(guardian.pid).toBeUndefined();
    guardian.start();
    expect(guardian.pid).toBeGreaterThan(0);
  });

  it('[GUARD-4] that cannot be spawned is a warning, never an exception', async () => {
    start({ shell: '/no/such/sh' });
    await until('it is given up', () => knownProblems().some(({ part }) => part === 'guardian'));
    expect(knownProblems().find(({ part }) => part === 'guardian')?.reason).toMatch(/ENOENT/);
  });

  it('[GUARD-5] without a shell is the reaper itself', () => {
    const { program } = fakeReaper();
    const host = newHostMark();
    expect(guardianCommand(plan({ shell: undefined, reaper: program, host }), procIdentity)).toEqual({
      file: process.execPath,
      args: [program.file, 'watch', host.secret, '0', '', 'mcp-server-pool-guardian'],
    });
    expect(guardianCommand(plan({ shell: undefined, reaper: undefined }), procIdentity)).toBeUndefined();
  });
});
