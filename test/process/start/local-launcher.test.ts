import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerDefinition } from '../../../src/config/options.js';
import { PoolError } from '../../../src/errors.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessTable } from '../../../src/process/process-table.js';
import { fixture, fixturePath, wrapped } from '../../helpers/fixture.js';
import { runHost } from '../../helpers/host.js';
import { type Launched, type LaunchOptions, launch } from '../../helpers/launch.js';
import { isLiving, marked, readProcess } from '../../helpers/processes.js';
import { flush, rejection, until } from '../../helpers/until.js';

const SECRET = 'swordfish-92731';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** The error of a start that fails, whether it is thrown or reported; everything about it must be free of secrets. */
async function refusal(given: ServerDefinition, options?: LaunchOptions): Promise<PoolError> {
  const definition = { ...given, env: { TOKEN: SECRET, ...given.env } };
  let error: unknown;
  try {
    error = await rejection(launch(definition, options).spawned);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(PoolError);
  expect(`${inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}`).not.toContain(SECRET);
  expect(marked()).toEqual([]);
  return error as PoolError;
}

function script(path: string, text: string, mode = 0o755): string {
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('a command', () => {
  it('[SPAWN-2] that is in no folder of PATH is COMMAND_NOT_FOUND', async () => {
    const error = await refusal({ command: 'no-such-command-92731', env: { PATH: '/usr/bin:/bin' } });
    expect(error).toMatchObject({ code: 'COMMAND_NOT_FOUND', data: { name: 'test', errno: 'ENOENT' } });
    expect(error.message).toContain("'no-such-command-92731'");
    expect(error.message).toContain('2 folders of its PATH');
  });

  it.each(['/no/such/file', './no-such-file', 'no/such/file'])(
    '[SPAWN-2] that is a path to nothing is COMMAND_NOT_FOUND: %s',
    async (command) => {
      const error = await refusal({ command });
      expect(error).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
      expect(error.message).toContain('no file');
    },
  );

  it('[SPAWN-2] that is a folder is COMMAND_NOT_FOUND', async () => {
    expect(await refusal({ command: folder() })).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
  });

  it('[SPAWN-6] is looked up in the PATH of the server, not of the host', async () => {
    expect(await refusal({ command: 'node', env: { PATH: folder() } })).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
    expect(await refusal({ command: 'node', env: { PATH: '' } })).toMatchObject({ code: 'COMMAND_NOT_FOUND' });
    const bin = folder();
    symlinkSync(process.execPath, join(bin, 'our-own-node'));
    const server = launch({ ...fixture('echo'), command: 'our-own-node', env: { PATH: `/nowhere:${bin}` } });
    expect(await server.callTool('echo', { text: 'found' })).toBe('found');
  });

  it('[SPAWN-6] is looked up in the working directory of the server when it is a relative path', async () => {
    const cwd = folder();
    mkdirSync(join(cwd, 'bin'));
    symlinkSync(process.execPath, join(cwd, 'bin', 'our-node'));
    for (const definition of [
      { command: './bin/our-node' },
      { command: 'bin/our-node' },
      { command: 'our-node', env: { PATH: 'bin' } },
    ]) {
      const server = launch({ ...fixture('echo'), ...definition, cwd });
      expect(await server.callTool('cwd')).toBe(cwd);
    }
  });

  it('[SPAWN-6] and its arguments pass no shell', async () => {
    const args = ['$HOME', '`id`', '; exit 1', '*', 'a b', '"', "'", '\\', '&& true', ''];
    const { command, args: path, inheritEnv } = fixture('echo');
    const server = launch({ command, args: [...path, ...args], inheritEnv, placeholders: 'literal' });
    expect(await server.callTool('args')).toEqual(args);
  });

  it('[SPAWN-4] that may not be executed is COMMAND_NOT_EXECUTABLE', async () => {
    const path = script(join(folder(), 'tool'), '#!/bin/sh\n', 0o644);
    const error = await refusal({ command: path });
    expect(error).toMatchObject({ code: 'COMMAND_NOT_EXECUTABLE', data: { errno: 'EACCES' } });
    expect(error.message).toContain(path);
    expect(error.message).toContain('chmod +x');
  });

  it('[SPAWN-4] that may not be executed is passed over when a later folder of PATH has one that may', async () => {
    const [first, second] = [folder(), folder()];
    script(join(first, 'tool'), 'not for you', 0o644);
    symlinkSync(process.execPath, join(second, 'tool'));
    const { args, inheritEnv } = fixture('echo');
    const server = launch({ command: 'tool', args, inheritEnv, env: { PATH: `${first}:${second}` } });
    expect(await server.callTool('echo', { text: 'second' })).toBe('second');
  });

  it.each([
    ['does not exist', () => '/no/such/folder'],
    ['is a file', () => script(join(folder(), 'file'), '')],
  ])('[SPAWN-3] with a cwd that %s is CWD_NOT_FOUND', async (_what, make) => {
    const cwd = make();
    const error = await refusal({ ...fixture('echo'), cwd });
    expect(error).toMatchObject({ code: 'CWD_NOT_FOUND', data: { name: 'test' } });
    expect(error.message).toContain(cwd);
  });

  it('[SPAWN-5] with an interpreter that is missing is SPAWN_FAILED with ENOENT', async () => {
    const path = script(join(folder(), 'tool'), '#!/no/such/interpreter\n');
    const error = await refusal({ command: path });
    expect(error).toMatchObject({ code: 'SPAWN_FAILED', data: { errno: 'ENOENT' } });
    expect(error.message).toMatch(/interpreter/);
  });

  it.each([
    ['args', { args: Array.from({ length: 30 }, () => 'x'.repeat(131_000)) }],
    ['env', { env: { BIG: `${SECRET}${'x'.repeat(200_000)}` } }],
  ])('[SPAWN-5] [SECRET-1] with too large %s is SPAWN_FAILED with E2BIG', async (_what, large) => {
    const error = await refusal({ command: process.execPath, ...large });
    expect(error).toMatchObject({ code: 'SPAWN_FAILED', data: { errno: 'E2BIG' } });
    expect(error.message.length).toBeLessThan(1_000);
    expect(error.message).toContain('larger than the operating system allows');
  });

  it('[SPAWN-5] [SPAWN-1] without a descriptor left is SPAWN_FAILED with EMFILE, and works when there are some again', async () => {
    const { stdout, stderr, code } = await runHost(
      `
      import { openSync, closeSync } from 'node:fs';
      const { withEnvironment } = await import(SRC + '/config/environment.js');
      const { localLauncher } = await import(SRC + '/process/start/local-launcher.js');
      const { linux } = await import(SRC + '/process/platforms/linux.js');
      const { resolvePoolOptions } = await import(SRC + '/config/resolve-options.js');
      const { servers } = resolvePoolOptions({ servers: { test: {
        command: process.execPath, args: [FIXTURES + '/echo.js'], inheritEnv: ['MCP_POOL_TEST'], env: { TOKEN: '${SECRET}' },
      } } });
      const launcher = localLauncher(linux);
      const reported = [];
      const launch = () => new Promise((resolve) => {
        let server;
        try {
          server = launcher.launch(withEnvironment(servers.get('test')), {
            onSpawn: () => { reported.push('spawn'); resolve(server); },
            onSpawnError: (error) => { reported.push('spawn-error'); resolve(error); },
            onExit: () => reported.push('exit'),
            onStderrLine() {}, wantsStderr: () => false,
          });
        } catch (error) { resolve(error); }
      });
      const taken = [];
      const say = ({ code, message, data }) => console.log(JSON.stringify({ code, message, data }));
      try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch {}
      // None free, and too few. Only a few attempts: Node itself leaks the pipes of each.
      for (let attempt = 0; attempt < 4; attempt++) {
        const result = await launch();
        if (result instanceof Error) say(result); else throw new Error('it runs');
        closeSync(taken.pop());
      }
      for (const descriptor of taken) closeSync(descriptor);
      const server = await launch();
      // An ending does not hold the host open; its caller does.
      const hold = setInterval(() => {}, 1_000);
      const report = await server.end({ mode: 'graceful' });
      console.log(JSON.stringify({ report, reported }));
      clearInterval(hold);
      `,
      { before: 'ulimit -n 60' },
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const lines = stdout.trim().split('\n');
    const errors = lines.slice(0, -1).map((line) => JSON.parse(line) as unknown);
    expect(errors).toHaveLength(4);
    for (const error of errors) expect(error).toMatchObject({ code: 'SPAWN_FAILED', data: { errno: 'EMFILE' } });
    expect(errors[0]).toMatchObject({ message: expect.stringContaining('no file descriptor left') });
    expect(stdout).not.toContain(SECRET);
    const { report, reported } = JSON.parse(lines.at(-1) ?? '') as { report: object; reported: string[] };
    expect(report).toMatchObject({ endedBy: 'eof', survivors: [] });
    // Of each attempt one thing was reported, and only the one that ran reported an exit.
    expect(reported.filter((what) => what === 'spawn')).toHaveLength(1);
    expect(reported.filter((what) => what === 'exit')).toHaveLength(1);
    expect(marked()).toEqual([]);
  });

  it('[SPAWN-1] [PROOF-3] that runs although the process table cannot be read is not lost', async () => {
    // A table that knows no process, as one that cannot be read.
    const blind = { read: () => undefined, scan: () => new Map() };
    let server: ReturnType<typeof launch> | undefined;
    try {
      server = launch(fixture('ignore-eof-and-term'), { table: blind });
    } catch {
      // Refused: then nothing may run.
    }
    const { pid } = server?.process ?? {};
    onTestFinished(() => {
      if (pid !== undefined && isLiving(pid)) process.kill(pid, 'SIGKILL');
    });
    const report = await server?.process.end({ mode: 'emergency' });
    // Either it is dead, or it is said that this is not known. "No survivors" of a process that runs is a lie.
    if (report === undefined || report.survivors.length === 0) {
      await until('what is reported dead is dead', () => marked().length === 0);
    }
  });
});

describe('a server that the process table does not show any more', () => {
  it.each(['graceful', 'emergency'] as const)('[PROOF-3] is killed all the same (%s)', async (mode) => {
    let hidden = 0;
    // As /proc with hidepid=2 does with a process that has made itself undumpable.
    const table: ProcessTable = {
      read: (pid) => (pid === hidden ? undefined : linux.table.read(pid)),
      scan: () => new Map([...linux.table.scan()].filter(([pid]) => pid !== hidden)),
    };
    const server = launch({ command: 'sleep', args: ['50'], containment: 'markers' }, { table });
    await server.spawned;
    hidden = server.pid;
    await server.process.end({ mode });
    expect(await server.exited).toMatchObject({ signal: 'SIGKILL' });
  });
});

describe('a server that runs', () => {
  it('[SPAWN-8] leads a group and a session of its own', async () => {
    const server = launch(wrapped('echo'));
    const inner = Number(await server.callTool('pid'));
    expect(readProcess(server.pid)).toMatchObject({ group: server.pid, session: server.pid, parent: process.pid });
    expect(readProcess(inner)).toMatchObject({ group: server.pid, parent: server.pid });
    expect(server.process.identity).toEqual({
      kind: 'local',
      pid: server.pid,
      startTime: readProcess(server.pid)?.startTime,
    });
    expect(server.reported).toEqual(['spawn']);
  });

  it('[SECRET-2] sees the allow-list, what it inherits by name, and its own env', async () => {
    process.env.MCP_POOL_TEST_SECRET = SECRET;
    onTestFinished(() => {
      delete process.env.MCP_POOL_TEST_SECRET;
    });
    const server = launch({ ...fixture('echo'), env: { OWN: '1' } });
    const names = (await server.callTool('env')) as string[];
    const allowed = [
      'HOME',
      'LOGNAME',
      'MCP_POOL_TEST',
      'MCP_SERVER_POOL_MARK',
      'OWN',
      'PATH',
      'SHELL',
      'TERM',
      'USER',
    ];
    expect(names.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(['MCP_POOL_TEST', 'OWN', 'PATH']));
  });

  it('[SPAWN-1] reports its exit once, with the code or the signal', async () => {
    const server = launch(fixture('exit-after', '--code=7', '--ms=1'));
    expect(await server.exited).toEqual({ exitCode: 7, signal: null });
    const other = launch(fixture('exit-after'));
    other.callTool('crash').catch(() => {});
    expect(await other.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
    expect([server.reported, other.reported]).toEqual([
      ['spawn', 'exit'],
      ['spawn', 'exit'],
    ]);
  });

  it('[SPAWN-1] may exit before anything looks', async () => {
    const server = launch({ command: 'true' });
    expect(await server.exited).toEqual({ exitCode: 0, signal: null });
    expect(await server.process.end({ mode: 'graceful' })).toMatchObject({ endedBy: 'exit', survivors: [] });
  });

  it('[SPAWN-1] survives that its streams break', async () => {
    const server = launch(fixture('exit-after', '--ms=1'));
    await server.exited;
    await server.process.drained();
    const error = await new Promise((resolve) => server.process.stdin.write('too late\n', resolve));
    expect(error).toBeInstanceOf(Error);
    expect(await server.process.drained()).toBeUndefined();
  });

  it('[SPAWN-7] [NOISE-1] writes 10 MB of stderr while nothing listens, and is not held up', async () => {
    const server = launch(fixture('noisy-stderr', '--mb=10'));
    await server.request('initialize');
    await server.callTool('noise', { mb: 2, last: 'this was all' });
    await until('the tail is complete', () => server.process.stderrTail.endsWith('this was all\n'));
    expect(server.process.stderrTail.length).toBe(65_536);
    expect(server.stderr).toEqual([]);
  });

  it('[SPAWN-7] gives every line of stderr to a listener', async () => {
    const server = launch(fixture('noisy-stderr', '--mb=1'), { listen: true });
    await server.callTool('noise', { mb: 1, last: 'ünïcödé 😀' });
    await until('the last line is there', () => server.stderr.at(-1) === 'ünïcödé 😀');
    const line = 'e'.repeat(127);
    expect(server.stderr.length).toBe(1_048_576 / 128 + 1);
    expect(server.stderr.slice(0, -1).every((one) => one === line)).toBe(true);
  });

  it('[SPAWN-7] has its last words in the tail when it is drained after the exit', async () => {
    const server = launch(fixture('dies-in-handshake'), { listen: true });
    server.request('initialize').catch(() => {});
    expect(await server.exited).toEqual({ exitCode: 3, signal: null });
    await server.process.drained();
    expect(server.process.stderrTail).toBe('cannot open the vault\n');
    expect(server.stderr).toEqual(['cannot open the vault']);
  });

  /** A server with an exit that is reported before its last words were read: this process was held up by other news. */
  async function exitReportedFirst(onExit: (server: Launched) => void): Promise<Launched> {
    // `group`: its death is proven without waiting for anything.
    const server = launch({ command: 'sh', args: ['-c', 'read x; echo last words >&2'], containment: 'group' });
    const other = spawn('sh', ['-c', 'read x; echo news'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const exited = server.exited.then(() => onExit(server));
    await server.spawned;
    other.stdout.once('data', () => {
      server.process.stdin.write('\n');
      while (isLiving(server.pid));
    });
    await flush();
    other.stdin.write('\n');
    while (isLiving(other.pid ?? 0));
    await exited;
    return server;
  }

  it('[SPAWN-7] has its last words in the tail although it is proven dead before they are read', async () => {
    let ended: Promise<unknown> | undefined;
    const server = await exitReportedFirst(({ process }) => {
      ended = process.end({ mode: 'emergency' });
    });
    await ended;
    await server.process.drained();
    expect(server.process.stderrTail).toBe('last words\n');
    expect(server.process.stdout.destroyed).toBe(true);
  });

  it('[SPAWN-7] has its last words in the tail although the host was held up after its exit', async () => {
    const server = await exitReportedFirst(({ process }) => {
      void process.drained();
      const end = performance.now() + 300;
      while (performance.now() < end);
    });
    await server.process.drained();
    expect(server.process.stderrTail).toBe('last words\n');
  });

  it('[LADDER-4] is drained in bounded time although a helper holds its streams', async () => {
    const server = launch(fixture('helper-holds-stdout', '--setsid', '--exit'));
    const helper = Number(await server.callTool('helper'));
    onTestFinished(() => {
      if (isLiving(helper)) process.kill(helper, 'SIGKILL');
    });
    await server.exited;
    await server.process.drained();
    expect(server.process.stdout.destroyed).toBe(true);
  });

  it('[GUEST-1] does not keep its host alive', async () => {
    const { code, stdout, stderr } = await runHost(`
      const { withEnvironment } = await import(SRC + '/config/environment.js');
      const { localLauncher } = await import(SRC + '/process/start/local-launcher.js');
      const { linux } = await import(SRC + '/process/platforms/linux.js');
      const { resolvePoolOptions } = await import(SRC + '/config/resolve-options.js');
      const { servers } = resolvePoolOptions({ servers: { test: {
        command: process.execPath, args: [${JSON.stringify(fixturePath('echo.js'))}], inheritEnv: ['MCP_POOL_TEST'],
      } } });
      const server = localLauncher(linux).launch(withEnvironment(servers.get('test')), {
        onSpawn: () => console.log('runs'), onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => true,
      });
      server.stdout.on('data', () => {});
    `);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'runs\n', stderr: '' });
    // The end of its host is an end of file for it.
    await until('the server has ended', () => marked().length === 0);
  });
});
