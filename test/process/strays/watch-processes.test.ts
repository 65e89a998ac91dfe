import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findStrays, watchProcesses } from '../../../src/index.js';
import { ProcessWatch, type WatchEvents } from '../../../src/process/strays/watch-processes.js';
import { ManualClock } from '../../helpers/clock.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { fixture } from '../../helpers/fixture.js';
import { runHost, startHost } from '../../helpers/host.js';
import { MARKER } from '../../helpers/processes.js';
import { fails, open } from '../../helpers/real-pool.js';
import { FakeSystem } from '../../helpers/strays.js';
import { until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE } from '../../hostile/strangers.js';

/** A child with that argument, ended when the test is over. It is no child of a pool. */
function child(script: string, tag: string, options: SpawnOptions = {}): ChildProcess & { pid: number } {
  const process_ = spawn('sh', ['-c', script, tag], { stdio: 'ignore', ...options });
  onTestFinished(async () => {
    process_.kill('SIGKILL');
    if (process_.exitCode === null && process_.signalCode === null)
      await new Promise((end) => process_.once('exit', end));
  });
  if (process_.pid === undefined) throw new Error('it was not started');
  return process_ as ChildProcess & { pid: number };
}

const node = (script: string) => `exec "${process.execPath}" -e '${script}' -- "$0"`;
const IDLE = 'exec sleep 50 "$0"';

function watch(options: Parameters<typeof watchProcesses>[0]) {
  const watched = watchProcesses(options);
  onTestFinished(() => watched.stop());
  return watched;
}

const pids = (list: readonly { readonly pid: number }[]) => list.map(({ pid }) => pid).sort((a, b) => a - b);
const started = (tag: string, count: number) => until(`${count} processes`, () => tagged(tag).length === count);

describe('real processes', () => {
  it('[WATCH-1] with too much memory are listed, with what they use; their neighbours are not', async () => {
    const tag = newTag();
    const large = child(node('global.kept = Buffer.alloc(120 * 1048576, 1); setTimeout(() => {}, 50_000)'), tag);
    child(node('setTimeout(() => {}, 50_000)'), tag);
    const watched = watch({ patterns: [tag], memoryLimitMB: 100 });
    const list = await until('it has all of it', async () => {
      const found = await watched.list();
      return found.some(({ memoryMB }) => memoryMB > 120) && found;
    });
    expect(list).toMatchObject([{ pid: large.pid, command: 'node', pattern: tag, reasons: ['memory'], below: 0 }]);
    expect(list[0]?.memoryMB).toBeLessThan(300);
    expect(watched.latest).toMatchObject({ matched: 2, omitted: 0, processes: list });
  });

  it('[WATCH-1] that use too much CPU are listed, with the share that they have used', async () => {
    const tag = newTag();
    const busy = child(node('const end = Date.now() + 60_000; while (Date.now() < end);'), tag);
    child(IDLE, tag);
    await started(tag, 2);
    const watched = watch({ patterns: [tag], cpuLimitPercent: 1 });
    const list = await until('it is listed', async () => {
      const found = await watched.list();
      return found.length > 0 && found;
    });
    expect(list).toMatchObject([{ pid: busy.pid, reasons: ['cpu'] }]);
    expect(list[0]?.cpuPercent).toBeGreaterThan(1);
    expect(list[0]?.cpuPercent).toBeLessThan(120);
  });

  it('[WATCH-2] that are stopped are listed as stuck, and no more when they go on', async () => {
    const tag = newTag();
    const stopped = child(IDLE, tag);
    await started(tag, 1);
    process.kill(stopped.pid, 'SIGSTOP');
    const watched = watch({ patterns: [tag], stuckAfter: 500 });
    const cleared: unknown[] = [];
    watched.on('process:cleared', (process_) => cleared.push(process_));
    await until('it is listed', async () => (await watched.list()).length > 0);
    expect(watched.latest?.processes).toMatchObject([{ pid: stopped.pid, state: 'T', reasons: ['stuck'] }]);
    process.kill(stopped.pid, 'SIGCONT');
    await until('it is listed no more', async () => (await watched.list()).length === 0);
    expect(cleared).toMatchObject([{ pid: stopped.pid, reasons: ['stuck'], isGone: false }]);
  });

  it('[WATCH-1] that are too old are listed, and how many are below each', async () => {
    const tag = newTag();
    const top = child(`sleep 50 "$0" & sleep 50 "$0" & wait`, tag);
    await started(tag, 3);
    const watched = watch({ patterns: [tag], maxAge: 1 });
    const list = await until('all are old enough', async () => {
      const found = await watched.list();
      return found.length === 3 && found;
    });
    expect(list.map(({ reasons }) => reasons)).toEqual([['age'], ['age'], ['age']]);
    expect(list.map(({ pid, below }) => [pid === top.pid, below])).toContainEqual([true, 2]);
  });

  it('[WATCH-3] of a pool of this host are not listed: with marks or without, nor what is below them', async () => {
    const tag = newTag();
    const server = { ...fixture('echo'), args: [...fixture('echo').args, tag] };
    const below = {
      command: 'sh',
      args: ['-c', `"$0" "$@"; true`, server.command, ...server.args],
      inheritEnv: [MARKER],
    };
    const pool = open({ marked: server, unmarked: { ...below, containment: 'group' } });
    for (const name of ['marked', 'unmarked']) await pool.getServer(name);
    const own = child(IDLE, tag);
    await started(tag, 4);
    const watched = watch({ patterns: [tag], maxAge: 1 });
    expect(
      pids(await until('it is old enough', async () => (await watched.list()).length > 0 && watched.list())),
    ).toEqual([own.pid]);
    expect(watched.latest).toMatchObject({ matched: 1 });
  });

  it('[WATCH-3] of a pool of another living host are not listed, and are when that is dead; its guardian never', async () => {
    const tag = newTag();
    const host = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const guardian = { enabled: false };
      const args = ['-c', 'sleep 50 "$0"; true', ${JSON.stringify(tag)}];
      const pool = new MCPServerPool({ command: 'sh', args, inheritEnv: ['${MARKER}'], guardian });
      pool.getServer().catch(() => {});`);
    await started(tag, 2);
    const watched = watch({ patterns: [tag, 'mcp-server-pool-guardian'], maxAge: 1 });
    // The script of the host has the tag, too; it is a process of its own.
    expect(pids(await watched.list())).toEqual([host.child.pid]);
    const both = tagged(tag);
    host.child.kill('SIGKILL');
    await host.result;
    expect(pids(await watched.list())).toEqual(pids(both));
  });

  it('[WATCH-3] of a guardian are not listed', async () => {
    const pool = open({ echo: fixture('echo') });
    await pool.getServer('echo');
    const guardian = pool.status().containment?.guardian;
    expect(guardian).toBeGreaterThan(1);
    const watched = watch({ patterns: ['mcp-server-pool-guardian'], maxAge: 1 });
    expect(pids(await watched.list())).not.toContain(guardian);
  });

  it('[WATCH-3] that are this one or its ancestors are not listed', async () => {
    const own = child(IDLE, newTag());
    const watched = watch({ patterns: ['node', 'vitest', 'sh', 'sleep'], maxAge: 1 });
    const found = await until('its child is old enough', async () => {
      const listed = pids(await watched.list());
      return listed.includes(own.pid) && listed;
    });
    expect(found).not.toContain(process.pid);
    expect(found).not.toContain(process.ppid);
  });

  it.runIf(OBSTACLE === undefined)('[WATCH-3] of another user are not listed (needs root)', async () => {
    const tag = newTag();
    child(IDLE, tag, { uid: MALLORY, gid: MALLORY });
    const ours = child(IDLE, tag);
    await started(tag, 2);
    const watched = watch({ patterns: [tag], maxAge: 1 });
    await until('it is old enough', async () => (await watched.list()).length > 0);
    expect(watched.latest).toMatchObject({ matched: 1, processes: [{ pid: ours.pid }] });
  });

  it('[WATCH-4] have no arguments in the list', async () => {
    const tag = newTag();
    child(`${node('setTimeout(() => {}, 50_000)')} --token=sk-live-1`, tag);
    await started(tag, 1);
    const watched = watch({ patterns: [tag], maxAge: 1 });
    await until('it is listed', async () => (await watched.list()).length === 1);
    expect(JSON.stringify(watched.latest)).not.toContain('sk-live-1');
  });
});

describe('a regular expression that takes for ever', () => {
  const EVIL = /(x+)+$/;
  const line = `${'x'.repeat(60)}!`;

  it('[WATCH-5] [WATCH-12] is stopped, told once, and refused twice; then others find their processes', async () => {
    const tag = newTag();
    child(IDLE, tag);
    const bait = child(node('setTimeout(() => {}, 50_000)'), line);
    await started(tag, 1);
    await started(line, 1);
    const watched = watch({ patterns: [tag, EVIL], maxAge: 1 });
    const failures: unknown[] = [];
    watched.on('look:failed', (failure) => failures.push(failure));
    for (let count = 0; count < 2; count++) {
      expect(await fails(watched.list() as never)).toMatchObject({
        code: 'INVALID_OPTIONS',
        message: expect.stringContaining('patterns[1] has not matched all command lines within 1000 ms'),
      });
    }
    expect(failures).toHaveLength(1);
    expect(await watched.list()).toHaveLength(1);
    expect(watched.latest).toMatchObject({ slow: [String(EVIL)] });
    expect(tagged(line).map(({ pid }) => pid)).toEqual([bait.pid]);
  });

  it('[WATCH-5] [STRAY-7] is refused by findStrays(), too', async () => {
    const tag = newTag();
    await runHost(`
      const { spawnSync } = await import('node:child_process');
      spawnSync('sh', ['-c', ${JSON.stringify(`setsid "${process.execPath}" -e 'setTimeout(() => {}, 50_000)' -- "$0" ${line} </dev/null >/dev/null 2>&1 & exit 0`)}, ${JSON.stringify(tag)}]);`);
    await until('it is adopted', () => tagged(tag).some(({ parent, command }) => parent === 1 && command === 'node'));
    const error = await fails(findStrays({ patterns: [EVIL], olderThan: 0 }));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining('patterns[0]') });
  });
});

describe('the watch', () => {
  function setUp(options: Parameters<typeof watchProcesses>[0] = { memoryLimitMB: 10 }) {
    const system = new FakeSystem();
    const clock = new ManualClock();
    const watched = new ProcessWatch(options, { clock, system: async () => system, uptime: () => 1_000_000 });
    onTestFinished(() => watched.stop());
    const events: [string, unknown][] = [];
    for (const name of ['look:taken', 'look:failed', 'process:listed', 'process:cleared'] as (keyof WatchEvents)[]) {
      watched.on(name, (payload: unknown) => events.push([name, payload]));
    }
    const names = () => events.splice(0).map(([name]) => name);
    return { system, clock, watched, events, names };
  }

  it('[WATCH-6] looks at once, then each interval, and says what has changed', async () => {
    const { system, clock, events, names } = setUp();
    system.add(30);
    await clock.advanceAndFlush(0);
    expect(names()).toEqual(['look:taken']);
    system.know(30, { memory: 50 });
    await clock.advanceAndFlush(299_999);
    expect(names()).toEqual([]);
    await clock.advanceAndFlush(1);
    expect(events[0]).toMatchObject(['process:listed', { pid: 30, memoryMB: 50, reasons: ['memory'] }]);
    expect(names()).toEqual(['process:listed', 'look:taken']);
    await clock.advanceAndFlush(300_000);
    expect(names()).toEqual(['look:taken']);
    system.table.remove(30);
    await clock.advanceAndFlush(300_000);
    expect(events[0]).toMatchObject(['process:cleared', { pid: 30, isGone: true }]);
  });

  it('[WATCH-6] that fails says so once, and goes on', async () => {
    const { system, clock, watched, events, names } = setUp();
    system.add(30, {}, { memory: 50 });
    system.table.failing = true;
    for (let count = 0; count < 3; count++) await clock.advanceAndFlush(300_000);
    expect(events).toMatchObject([['look:failed', { problem: expect.stringContaining('EMFILE') }]]);
    expect(watched.latest).toBeUndefined();
    names();
    system.table.failing = false;
    await clock.advanceAndFlush(300_000);
    expect(names()).toEqual(['process:listed', 'look:taken']);
  });

  it('[WATCH-6] looks no more after stop(), also when a look is under way', async () => {
    const { clock, watched, names } = setUp();
    clock.advance(0);
    watched.stop();
    await clock.advanceAndFlush(1_000_000);
    expect(await watched.list()).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(names()).toEqual([]);
  });

  it('[WATCH-6] has nothing as its latest after stop(), also when it is asked then', async () => {
    const { system, clock, watched } = setUp();
    system.add(30, {}, { memory: 50 });
    await clock.advanceAndFlush(0);
    expect(watched.latest).toMatchObject({ processes: [{ pid: 30 }] });
    watched.stop();
    expect(watched.latest).toBeUndefined();
    expect(await watched.list()).toHaveLength(1);
    expect(watched.latest).toBeUndefined();
  });

  it('[WATCH-12] sees its own processes when another user has any number that match, and reads nothing of these', async () => {
    const { system, watched } = setUp();
    const asked: number[] = [];
    const inspect = system.inspect.bind(system);
    system.inspect = () => {
      const inspector = inspect();
      const commandLine = (pid: number) => {
        asked.push(pid);
        return inspector.commandLine(pid);
      };
      return { ...inspector, commandLine };
    };
    for (let pid = 1_000; pid < 7_000; pid++) system.add(pid, {}, { ours: false, memory: 50 });
    system.add(30_000, {}, { memory: 50 });
    expect(pids(await watched.list())).toEqual([30_000]);
    expect(watched.latest).toMatchObject({ omitted: 0 });
    expect(asked.filter((pid) => pid >= 1_000 && pid < 7_000)).toEqual([]);
  });

  it('[WATCH-12] does not use a pattern again that was too slow twice; without any it fails at once', async () => {
    const slow = /(x+)+$/;
    const { system, watched, names } = setUp({ patterns: ['good', slow], memoryLimitMB: 10 });
    const alone = setUp({ patterns: [slow], memoryLimitMB: 10 });
    for (const one of [system, alone.system]) one.add(30, {}, { commandLine: `${'x'.repeat(60)}!`, memory: 50 });
    system.add(31, {}, { commandLine: 'good', memory: 50 });
    expect((await fails(watched.list() as never)).message).toContain('within 1000 ms; write it');
    expect((await fails(watched.list() as never)).message).toContain(
      'a second time, and this watch does not use it any more',
    );
    expect(pids(await watched.list())).toEqual([31]);
    expect(watched.latest).toMatchObject({ slow: [String(slow)] });
    expect(names()).toEqual(['look:failed', 'process:listed', 'look:taken']);
    for (let count = 0; count < 2; count++) await fails(alone.watched.list() as never);
    alone.system.table.failing = true;
    expect((await fails(alone.watched.list() as never)).message).toContain('no pattern is left');
    expect(alone.names()).toEqual(['look:failed']);
  });

  it('[HANG-1] matches what hangs by the command line of an earlier look, or else by its name', async () => {
    const { system, clock, watched } = setUp({ patterns: ['mcp-server', 'tsc'], memoryLimitMB: 10 });
    const inspect = system.inspect.bind(system);
    system.inspect = () => {
      const inspector = inspect();
      // As that of Linux.
      const commandLine = (pid: number) => (system.table.read(pid)?.state === 'D' ? '' : inspector.commandLine(pid));
      return { ...inspector, commandLine };
    };
    system.add(30, {}, { memory: 50 });
    system.add(31, { state: 'D', command: 'tsc' }, { memory: 50 });
    system.add(32, { state: 'D' }, { memory: 50 });
    expect(pids(await watched.list())).toEqual([30]);
    system.table.change(30, { state: 'D' });
    await clock.advanceAndFlush(0);
    await clock.advanceAndFlush(300_000);
    expect(watched.latest?.processes).toMatchObject([
      { pid: 30, pattern: 'mcp-server', state: 'D', reasons: ['memory'] },
      { pid: 31, pattern: 'tsc', state: 'D', reasons: ['stuck'] },
    ]);
  });

  it('[WATCH-6] measures at most 1,000 processes, and says how many more there are', async () => {
    const { system, watched } = setUp();
    for (let pid = 1_000; pid < 2_500; pid++) system.add(pid, {}, { memory: 50 });
    expect(await watched.list()).toHaveLength(1_000);
    // Process 90 and those before it match, too; they are spared.
    expect(watched.latest).toMatchObject({ matched: 1_000, omitted: 500 });
  });

  it('[WATCH-3] [WATCH-10] lists no server of ours, of a host that may live, or that a registry has, nor what is below', async () => {
    const { system, watched } = setUp();
    system.hostLives = ({ id }) => (id === 'unknown' ? undefined : id === 'alive');
    system.add(30, {}, { mark: 'ours', memory: 50 });
    system.add(31, {}, { mark: { id: 'alive' }, memory: 50 });
    system.add(32, { startTime: 7 }, { memory: 50 });
    system.add(33, { parent: 32 }, { memory: 50 });
    system.add(34, { parent: 1, group: 32 }, { memory: 50 });
    system.leaders = [{ pid: 32, startTime: 7 }];
    system.add(35, {}, { mark: { id: 'unknown' }, memory: 50 });
    system.add(36, { parent: 35 }, { memory: 50 });
    system.add(40, {}, { mark: { id: 'dead' }, memory: 50 });
    expect(pids(await watched.list())).toEqual([40]);
  });

  it('[WATCH-6] does not keep the host alive', async () => {
    const { code, stdout } = await runHost(`
      const { watchProcesses } = await import(SRC + '/index.js');
      watchProcesses({ patterns: ['no-such-process'] }).on('look:taken', () => console.log('looked'));
      const watched = watchProcesses({ patterns: ['no-such-process'] });
      watched.list().then((list) => console.log(JSON.stringify(list)));`);
    expect(code).toBe(0);
    // What is asked for keeps it alive until then.
    expect(stdout).toContain('[]');
  });

  it('[WATCH-6] runs as docs/monitoring.md shows it, and ends nothing', async () => {
    const page = readFileSync(new URL('../../../docs/monitoring.md', import.meta.url), 'utf8');
    const [, example = ''] = /```js\n(import \{ endWatched.*?)```/s.exec(page) ?? [];
    const script = example.replace(
      /import (\{[^}]+\}) from 'mcp-server-pool';/,
      "const $1 = await import(SRC + '/index.js');",
    );
    expect(script).toContain('import(SRC');
    const { code, stderr, stdout } = await runHost(script);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('outcome');
  });

  it.each([
    [{ patterns: [] }, 'patterns must be'],
    [{ patterns: ['x'], memoryLimitMB: 0 }, 'memoryLimitMB must be'],
    [{ patterns: ['x'], interval: 10 }, 'interval must be a finite number of milliseconds, 1,000 or more'],
    [{ patterns: ['x'], memoryLimit: 80 }, "did you mean 'memoryLimitMB'?"],
  ])('[WATCH-7] refuses %o', (options, message) => {
    expect(() => watchProcesses(options as never)).toThrow(message);
  });
});
