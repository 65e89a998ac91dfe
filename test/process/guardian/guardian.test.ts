import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forgetProblems, knownProblems } from '../../../src/process/containment-problems.js';
import { Guardian, guardianStart } from '../../../src/process/guardian/guardian.js';
import { type GuardianPlan, planLine } from '../../../src/process/guardian/guardian-plan.js';
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

/** A reaper that does nothing but to note its arguments and its plan. */
function fakeReaper(
  text = 'require("fs").writeFileSync(process.argv[1] + ".ran", process.argv.slice(2) + "\\n" + process.env.MCP_SERVER_POOL_REAP)',
) {
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

/** A guardian with a pipe that the test holds. */
function guard(given: GuardianPlan, identity = procIdentity) {
  const { file, args, input } = guardianStart(given, identity) ?? { file: '', args: [], input: '' };
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
  child.stdin?.write(input);
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, ended: once(child, 'exit'), write: (line: string) => void child.stdin?.write(line) };
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
  it.each(TABLES)(
    '[GUARD-1] [GUARD-2] kills the groups in the lines that it got, by $name',
    async ({ identity, start }) => {
      const { program, calls } = fakeReaper();
      const host = newHostMark();
      const groups = [await group(), await group(), await group(), await group()];
      const [named, forgotten, , another] = groups.map(({ pid }) => ({ pid, startTime: start(pid) }));
      const { ended, write, child } = guard(plan({ shell, reaper: program, host, since: 7, ledger: '/l' }), identity);
      write(guardianLine('+', named!, identity));
      write(guardianLine('+', forgotten!, identity));
      write(guardianLine('-', forgotten!, identity));
      // As if its number had been given again since.
      write(guardianLine('+', { ...another!, startTime: another!.startTime - 2 }, identity));
      child.stdin?.end();
      await ended;
      // What was sent SIGKILL dies a moment later on a busy machine.
      await until('the first group is dead', () => members(groups[0]!.pid) === 0);
      expect(groups.map(({ pid }) => members(pid))).toEqual([0, 2, 2, 2]);
      expect(calls()).toBe(`sweep\nm ${host.secret}\ns 7\nl /l\n`);
    },
  );

  it('[GUARD-1] outlives the signals that end its host', async () => {
    const { program, calls } = fakeReaper();
    const { child, ended, write } = guard(plan({ shell, reaper: program }));
    const leader = await group();
    await until('it ignores them', () => SIGNALS.every((signal) => ignores(child.pid as number, signal)));
    for (const signal of SIGNALS) child.kill(signal);
    write(guardianLine('+', { pid: leader.pid, startTime: readProcess(leader.pid)!.startTime }, procIdentity));
    child.stdin?.end();
    await ended;
    // What was sent SIGKILL dies a moment later on a busy machine.
    await until('its group is dead', () => members(leader.pid) === 0);
    expect(calls()).toMatch(/^sweep\n/);
  });

  it('[GUARD-3] ends without a sweep when its host writes that nothing is left', async () => {
    const { program, calls } = fakeReaper();
    const { child, ended } = guard(plan({ shell, reaper: program }));
    child.stdin?.end('q\n');
    expect(await ended).toEqual([0, null]);
    expect(calls()).toBeUndefined();
  });

  it('[GUARD-5] sweeps by the limit itself when there is no Node, and touches no other process', async () => {
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
    const { file, args, input } = guardianStart(plan({ host }), procIdentity)!;
    const limited = ['-c', 'ulimit -u 1 2>/dev/null || ulimit -p 1; exec "$@"', 'sh', file, ...args];
    const child = spawn('sh', limited, { ...options, stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
    child.stdin.end(input);
    await once(child, 'exit');
    expect(tagged(tag).filter(({ command }) => command === 'sleep')).toEqual([]);
  });
});

describe('the reaper, where there is no shell', () => {
  it('[GUARD-5] hears what a shell would hear, and does what it does', async () => {
    const reaper = { executable: process.execPath, file: fileURLToPath(reaperUrl()), env: {} };
    const groups = [await group(), await group(), await group()];
    const [named, forgotten, another] = groups.map(({ pid }) => ({ pid, startTime: readProcess(pid)!.startTime }));
    const { child, ended, write } = guard(plan({ shell: undefined, reaper }));
    await until('it ignores signals', () =>
      ['SIGHUP', 'SIGTERM'].every((signal) => catches(child.pid as number, signal)),
    );
    child.kill('SIGTERM');
    write(guardianLine('+', named!, procIdentity));
    write(guardianLine('+', forgotten!, procIdentity));
    write(guardianLine('-', forgotten!, procIdentity));
    write(guardianLine('+', { ...another!, startTime: another!.startTime - 1 }, procIdentity));
    child.stdin?.end();
    expect(await ended).toEqual([0, null]);
    // What was sent SIGKILL dies a moment later on a busy machine.
    await until('the first group is dead', () => members(groups[0]!.pid) === 0);
    expect(groups.map(({ pid }) => members(pid))).toEqual([0, 2, 2]);
  });

  it('[GUARD-6] refuses what a guardian never asks for', async () => {
    const { secret: text } = newHostMark();
    const wrong = [
      [],
      ['sweep'],
      ['kill', `m ${text}\ns 0`],
      ['sweep', `m ${text}`],
      ['sweep', 's 0'],
      ['sweep', 'm x\ns 0'],
    ];
    for (const [what, plan] of wrong) {
      const env = plan === undefined ? {} : { MCP_SERVER_POOL_REAP: plan };
      const args = [fileURLToPath(reaperUrl()), ...(what === undefined ? [] : [what])];
      const child = spawn(process.execPath, args, { stdio: 'ignore', env });
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

  it('[GUARD-4] is replaced, and the next one gets everything again', async () => {
    const { program: shell } = fakeReaper('#!/bin/sh\nexec cat >>"$0.$$"\n');
    chmodSync(shell.file, 0o755);
    const guardian = start({ shell: shell.file });
    const read = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : '');
    const [one, two] = [
      { pid: 11, startTime: 111 },
      { pid: 22, startTime: 222 },
    ];
    guardian.watch(one);
    guardian.watch(two);
    guardian.watchCgroup('/some/where');
    const first = guardian.pid as number;
    await until('it has heard all', () =>
      read(`${shell.file}.${first}`).endsWith('+ 11 111\n+ 22 222\nc /some/where\n'),
    );
    guardian.forget(one);
    process.kill(first, 'SIGKILL');
    const second = await until('another is there', () => guardian.pid !== first && guardian.pid);
    await until('the second has heard all', () => read(`${shell.file}.${second}`).endsWith('\ns 0\n+ 22 222\n'));
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
    expect(guardianStart(plan({ shell: undefined, reaper: program, host }), procIdentity)).toEqual({
      file: process.execPath,
      args: [program.file, 'watch', 'mcp-server-pool-guardian'],
      input: `m ${host.secret}\ni ${host.id}\nn ${host.number}\ns 0\n`,
    });
    expect(guardianStart(plan({ shell: undefined, reaper: undefined }), procIdentity)).toBeUndefined();
  });
});

describe('what every user may read of a guardian', () => {
  const line = (pid: number | undefined) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ');
  const name = (pid: number | undefined) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  const isNamed = (pid: number | undefined) => name(pid) === 'mcp-server-pool' && line(pid).includes(NAME);
  const NAME = 'mcp-server-pool-guardian';
  const given = () => plan({ since: 987_654_321, ledger: '/private/ledger', cgroups: ['/private/cgroup'] });
  const shells = [...SHELLS, undefined];

  it.each(shells)('[GUARD-7] is its name, and nothing of its host: %s', async (shell) => {
    const one = { ...given(), shell };
    const reaper = { executable: process.execPath, file: fileURLToPath(reaperUrl()), env: {} };
    const { child, ended, write } = guard(shell === undefined ? { ...one, reaper } : one);
    write(planLine('c', '/private/other'));
    await until('it has its name', () => isNamed(child.pid));
    for (const secret of [one.host?.secret, one.host?.number, one.since, '/private', 'cgroup.kill']) {
      expect(line(child.pid)).not.toContain(String(secret));
    }
    // By the tools of this machine, with which an administrator looks for it.
    for (const [tool, args] of [
      ['ps', ['-C', NAME, '-o', 'pid=']],
      ['pgrep', ['-f', NAME]],
      ['pgrep', ['-x', 'mcp-server-pool']],
    ] as const) {
      const { error, stdout } = spawnSync(tool, args, { encoding: 'utf8' });
      if (error === undefined) expect(stdout.split('\n').map((text) => text.trim())).toContain(String(child.pid));
    }
    child.stdin?.end('q\n');
    await ended;
  });

  it('[GUARD-7] is nothing of its host when it starts the reaper', async () => {
    const { program } = fakeReaper('setInterval(() => {}, 1_000)');
    const one = { ...given(), reaper: program };
    const { child } = guard(one);
    child.stdin?.end();
    const reaper = await until('the reaper runs', () =>
      tagged(program.file).find(({ parent }) => parent === child.pid),
    );
    onTestFinished(() => killProcess(reaper));
    const { host } = one;
    await until('it has become its program', () => line(reaper.pid).includes('sweep'));
    for (const secret of [host?.secret, host?.number, '/private'])
      expect(line(reaper.pid)).not.toContain(String(secret));
  });

  it.each(SHELLS)('[GUARD-7] [GUARD-1] a script that is cut off is not run: %s', async (shell) => {
    const leader = await group();
    const { program, calls } = fakeReaper();
    const { file, args, input } = guardianStart(plan({ shell, reaper: program }), procIdentity)!;
    for (const length of [0, 1, 200, input.indexOf('\n.\n')]) {
      const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
      child.stdin.end(input.slice(0, length));
      expect(await once(child, 'exit')).toEqual([1, null]);
    }
    expect([calls(), members(leader.pid)]).toEqual([undefined, 2]);
  });

  it('[GUARD-7] a path that would be read as several lines is left out', () => {
    expect(planLine('l', '/x\nq')).toBe('');
    expect(planLine('c', '/x y')).toBe('c /x y\n');
  });
});
