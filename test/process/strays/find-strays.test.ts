import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findStrays, type Stray } from '../../../src/index.js';
import { localSystem, straysOf } from '../../../src/process/strays/find-strays.js';
import { ESCAPES, newTag, tagged } from '../../helpers/escapes.js';
import { fixture } from '../../helpers/fixture.js';
import { type RunningHost, runHost, startHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { MARKER, type ProcessInfo, readProcess } from '../../helpers/processes.js';
import { fails, open } from '../../helpers/real-pool.js';
import { FakeSystem } from '../../helpers/strays.js';
import { until } from '../../helpers/until.js';

const isRoot = process.geteuid?.() === 0;
const pids = (found: readonly { readonly pid: number }[]) => found.map(({ pid }) => pid).sort((a, b) => a - b);
const strays = (tag: string, olderThan = 0): Promise<Stray[]> => findStrays({ patterns: [tag], olderThan });

/** A host without a pool that spawns `args` for each `sh -c` script, in the manner of the SDK's transport. */
function plainHost(tag: string, script: string, options = '{}'): RunningHost {
  return startHost(`
    const { spawn } = await import('node:child_process');
    spawn('sh', ['-c', ${JSON.stringify(script)}, ${JSON.stringify(tag)}], ${options}).stdout.pipe(process.stdout);
    setInterval(() => {}, 1_000);`);
}

async function appeared(tag: string, count: number): Promise<ProcessInfo[]> {
  return until(`${count} processes`, () => {
    // The host has the tag in the midst of an argument only.
    const found = tagged(tag);
    return found.length === count && found;
  });
}

async function kill({ child, result }: RunningHost): Promise<void> {
  child.kill('SIGKILL');
  await result;
}

/** npm → sh → node, all waiting for the next one. */
const CHAIN = `sh -c '"${process.execPath}" -e "setTimeout(() => {}, 50_000)" -- "$0"; true' "$0"; true`;
/** A wrapper in between exits, and leaves a server with the stdin that the host speaks to. */
const WRAPPER_EXITS = '(exec 3<&0; sleep 50 "$0" <&3 3<&- &); exec sleep 45 "$0"';
const takenIn = (tag: string, count: number) =>
  until(`${count} are taken in`, () => {
    const found = tagged(tag).filter(({ parent }) => parent === 1);
    return found.length === count && found;
  });

describe('a host that was killed', () => {
  it.each([
    ['one process', 'exec sleep 50 "$0"', '{}', 1],
    ['in a session of its own', 'exec sleep 50 "$0"', '{ detached: true }', 1],
    ['npx-like sh → sh → node', CHAIN, '{}', 3],
  ])('[STRAY-1] leaves %s: listed with its whole tree, and why', async (_how, script, options, count) => {
    const tag = newTag();
    const host = plainHost(tag, script, options);
    const before = await appeared(tag, count);
    expect(await strays(tag)).toEqual([]);
    await kill(host);
    const found = await strays(tag);
    expect(pids(found)).toEqual(pids(before));
    const [root, ...others] = found.sort((a, b) => a.startTime - b.startTime || a.pid - b.pid);
    expect(root).toMatchObject({ parent: 1, startTime: readProcess(root?.pid ?? 0)?.startTime });
    expect(root?.commandLine).toContain(tag);
    expect(root?.age).toBeGreaterThanOrEqual(0);
    // One that begins another program in this moment has none.
    await until('its memory', async () =>
      (await strays(tag)).some(({ pid, memoryMB }) => pid === root?.pid && memoryMB > 0),
    );
    expect(root?.reasons.join('; ')).toMatch(/its parent is .* \(1\).*no process holds the other end.*matches '0\.0/);
    for (const { reasons } of others) expect(reasons).toEqual([`it descends from the stray ${root?.pid}`]);
    // What is younger may be just about to be taken care of.
    expect(await strays(tag, 60_000)).toEqual([]);
  });

  it('[STRAY-1] [STRAY-2] after its wrapper has exited: a server is none while the host can speak to it', async () => {
    const tag = newTag();
    const host = plainHost(tag, WRAPPER_EXITS);
    // Before that the wrapper itself may be one of the two.
    await takenIn(tag, 1);
    const both = await appeared(tag, 2);
    expect(await strays(tag)).toEqual([]);
    await kill(host);
    expect(pids(await strays(tag))).toEqual(pids(both));
  });

  it.runIf(isRoot)('[STRAY-1] [STRAY-2] a server at a pipe is none while a process can write to that', async () => {
    const tag = newTag();
    await runHost(`
      const { spawnSync } = await import('node:child_process');
      spawnSync('sh', ['-c', 'sleep 40 "$0" | sleep 50 "$0" & exit 0', ${JSON.stringify(tag)}], { stdio: 'ignore' });`);
    const system = await localSystem('the test');
    const arguments_ = (pid: number) => system.inspect(new Map()).commandLine(pid);
    // Both are forked by now, but may not be their programs yet.
    const writer = await until('one writes', () =>
      tagged(tag).find(({ pid }) => arguments_(pid).startsWith('sleep 40')),
    );
    await appeared(tag, 2);
    expect(await strays(tag)).toEqual([]);
    process.kill(writer.pid, 'SIGKILL');
    await until('it is gone', () => tagged(tag).length === 1);
    expect(pids(await strays(tag))).toEqual(pids(tagged(tag)));
  });

  it('[STRAY-1] had a pool: the mark is a reason', async () => {
    const tag = newTag();
    const script = `sleep 50 "${tag}"; true`;
    const host = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const guardian = { enabled: false };
      const pool = new MCPServerPool({ command: 'sh', args: ['-c', ${JSON.stringify(script)}], inheritEnv: ['${MARKER}'], guardian });
      pool.getServer().catch(() => {});`);
    await appeared(tag, 1);
    expect(await strays(tag)).toEqual([]);
    await kill(host);
    const found = await strays(tag);
    expect(found[0]?.reasons.join('; ')).toContain('the mark of another pool host, which is gone');
  });
});

describe('look-alikes', () => {
  it('[STRAY-2] of our own: a child, a server of a pool, and what has left that', async () => {
    const tag = newTag();
    const child = spawn('sh', ['-c', WRAPPER_EXITS, tag]);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    const pool = open({ echo: { ...fixture('echo'), args: [...fixture('echo').args, tag] } });
    await pool.getServer('echo');
    launch({ command: 'sh', args: ['-c', ESCAPES['double fork'] ?? '', tag], inheritEnv: [MARKER] });
    const [one, two] = await takenIn(tag, 2);
    await appeared(tag, 5);
    expect(await strays(tag)).toEqual([]);
    // Of a child that has exited Node closes the pipes: then nothing speaks to what it has left, and it is a stray.
    child.kill('SIGKILL');
    await gone;
    const [stray, ...others] = await strays(tag);
    expect(others).toEqual([]);
    expect([one?.pid, two?.pid]).toContain(stray?.pid);
  });

  it('[STRAY-2] that were never at the stdin of any process: daemons', async () => {
    const tag = newTag();
    const host = plainHost(tag, 'setsid sleep 50 "$0" </dev/null & exit 0');
    // Not the shell that starts it, nor what the shell has forked: that has its stdin still.
    await until('it is a daemon', () => tagged(tag).some(({ parent, command }) => parent === 1 && command === 'sleep'));
    await kill(host);
    expect(await strays(tag)).toEqual([]);
  });

  it('[STRAY-2] in a terminal: an editor of a file of that name', async (context) => {
    const tag = newTag();
    const terminal = spawn('/usr/bin/script', ['-qc', `sleep 50 ${tag}`, '/dev/null'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const started = await new Promise<boolean>((resolve) => {
      terminal.once('spawn', () => resolve(true)).once('error', () => resolve(false));
    });
    if (!started) return context.skip('there is no script(1)');
    onTestFinished(() => void terminal.stdin?.destroy());
    await appeared(tag, 1);
    expect(await strays(tag)).toEqual([]);
    const gone = new Promise((resolve) => terminal.once('exit', resolve));
    terminal.kill('SIGKILL');
    await gone;
    // What the hang-up has not ended is taken in, but its stdin was a terminal.
    expect(await strays(tag)).toEqual([]);
  });

  it.runIf(isRoot)('[STRAY-2] of another user', async () => {
    const tag = newTag();
    const host = plainHost(tag, 'exec sleep 50 "$0"', '{ uid: 65_534, gid: 65_534 }');
    await appeared(tag, 1);
    await kill(host);
    expect(await strays(tag)).toEqual([]);
  });
});

it('[STRAY-1] the example of docs/termination.md runs', async () => {
  const docs = readFileSync(new URL('../../../docs/termination.md', import.meta.url), 'utf8');
  const [, example = ''] = /```js\n(import .*?)```/s.exec(docs) ?? [];
  const code = example.replace(/import (.*) from 'mcp-server-pool'/, "const $1 = await import(SRC + '/index.js')");
  expect(await runHost(code)).toMatchObject({ code: 0, stderr: '' });
});

describe('a judgement', () => {
  const found = (system: FakeSystem) => pids(straysOf(system, {}, 1e9));

  it('[STRAY-2] [HANG-1] leaves alone what this process descends from, services, kernel threads, the dead and what hangs', () => {
    const system = new FakeSystem();
    system.know(90, { stdin: 'closed' });
    system.add(2);
    system.add(3, { parent: 2 });
    system.add(20, {}, { service: 'gateway.service' });
    system.add(21, { dead: true });
    system.add(22, {}, { mark: 'ours' });
    system.add(23, {}, { ours: false });
    system.add(24, { parent: 90 });
    system.add(25, {}, { commandLine: 'node server' });
    system.add(26, { state: 'D' });
    expect(found(system)).toEqual([]);
    system.add(30);
    system.add(31, { parent: 30 }, { commandLine: 'chrome' });
    system.add(32, { parent: 31 }, { mark: 'ours' });
    system.add(33, { parent: 31, startTime: 0 });
    expect(found(system)).toEqual([30, 31]);
  });

  it('[REUSE-3] lists what a stray has started in its own tick, if its number was that of another in that tick', () => {
    const system = new FakeSystem();
    system.add(30, { startTime: 7 + 1 / 1024 });
    system.add(31, { parent: 30, startTime: 7 }, { commandLine: 'chrome' });
    system.add(32, { parent: 30, startTime: 6 }, { commandLine: 'chrome' });
    expect(found(system)).toEqual([30, 31]);
  });

  it('[STRAY-2] knows other reapers: by the session of what they took in, and systemd of a user', () => {
    const system = new FakeSystem();
    system.add(10, { command: 'reaper' }, { commandLine: 'reaper', stdin: 'unknown' });
    system.add(11, { parent: 10, session: 10 });
    system.add(12, { parent: 10 });
    system.add(13, { parent: 10, session: 777 });
    system.add(14, { command: 'systemd' }, { commandLine: '/lib/systemd/systemd --user', stdin: 'unknown' });
    system.add(15, { parent: 14 });
    system.add(16, { parent: 14 }, { stdin: 'held' });
    expect(found(system)).toEqual([13, 15]);
  });

  it.each([
    [undefined, 'closed', true],
    [undefined, 'unknown', false],
    [undefined, 'held', false],
    [true, 'closed', false],
    [false, 'closed', true],
    [false, 'unknown', true],
    [false, 'held', false],
  ] as const)('[STRAY-2] of the mark of another host that lives: %s, its stdin %s', (lives, stdin, listed) => {
    const system = new FakeSystem();
    system.hostLives = () => lives;
    system.add(30, {}, { stdin, mark: { number: 7 } });
    const all = straysOf(system, {}, 1e9);
    expect(pids(all)).toEqual(listed ? [30] : []);
    if (listed) expect(all[0]?.reasons.some((one) => one.endsWith('which is gone'))).toBe(lives === false);
  });

  it.each([
    ['npm exec @modelcontextprotocol/server-everything', true],
    ['/usr/local/bin/uv tool uvx mcp-server-time', true],
    ['/root/.cache/uv/bin/python /root/.local/bin/mcp-server-fetch', true],
    ['node /root/.npm/_npx/15b07286cbcc3329/node_modules/.bin/chrome-devtools-mcp', true],
    ['npm exec chrome-devtools-mcp@latest', true],
    ['npm exec @playwright/mcp@latest', true],
    ['npm exec tavily-mcp', true],
    ['node /app/mysql-mcp-server/index.js', true],
    ['npx mcp-remote https://example.org/sse', true],
    ['node /app/node_modules/mcp-server-pool/dist/reaper.js', false],
    ['node /app/dist/index.js', false],
    ['vim mcp.json', false],
    ['code --user-data-dir /home/me', false],
    ['node gateway.js', false],
  ])('[STRAY-3] by default: %s: %s', (commandLine, listed) => {
    const system = new FakeSystem();
    system.add(30, {}, { commandLine });
    expect(found(system)).toEqual(listed ? [30] : []);
  });

  it('[STRAY-3] takes patterns of the host, with any flags', () => {
    const system = new FakeSystem();
    for (const pid of [30, 31, 32]) system.add(pid, {}, { commandLine: `Foo ${pid}` });
    const patterns = [/foo 3[01]/gi, 'Foo 32'];
    expect(pids(straysOf(system, { patterns }, 1e9))).toEqual([30, 31, 32]);
    expect(straysOf(system, { patterns: ['mcp-server'] }, 1e9)).toEqual([]);
  });

  it.each([
    [{ patterns: 'mcp' }, 'patterns must be an array'],
    [{ patterns: [] }, 'leave it out for the default patterns'],
    [{ patterns: ['ok', ' '] }, 'item 1 matches everything'],
    [{ patterns: [/x*/] }, 'item 0 matches everything'],
    [{ patterns: [7] }, 'item 0 is neither'],
    [{ olderThan: -1 }, 'olderThan must be a number of milliseconds'],
    [{ pattern: ['x'] }, "did you mean 'patterns'"],
  ])('[STRAY-7] refuses %o', async (options, message) => {
    const error = await fails(findStrays(options as object));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(message) });
  });

  it('[STRAY-7] says that it needs /proc', async () => {
    const { platform } = process;
    onTestFinished(() => void Object.defineProperty(process, 'platform', { value: platform }));
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    expect(await fails(localSystem('findStrays()'))).toMatchObject({ code: 'NOT_SUPPORTED' });
  });
});
