import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fileSystem } from '../../../src/monitor/audit/audit-door.js';
import { allLinesOf, auditFolder, linesNow, linesOf, openTrail } from '../../helpers/audit.js';
import { runHost } from '../../helpers/host.js';
import { isLiving } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE } from '../../hostile/strangers.js';

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);
const named = (name: unknown) => ({ name });

/** A folder on a disk of that size; undefined where none can be mounted. */
function smallDisk(size: string): string | undefined {
  const folder = auditFolder();
  const { status } = spawnSync('sh', ['-c', `mount -t tmpfs -o size=${size},mode=0700 none "$0"`, folder]);
  if (status !== 0) return undefined;
  onTestFinished(() => void spawnSync('sh', ['-c', 'umount -l "$0"', folder]));
  return folder;
}

/** Advances the time to the next attempt as often as there is one, until the condition holds. */
async function retried(
  clock: { pending: number; nextIn: number | undefined; advance(ms: number): void },
  what: string,
  condition: () => boolean,
) {
  await until(what, () => {
    if (condition()) return true;
    if (clock.pending === 1) clock.advance(clock.nextIn ?? 0);
    return false;
  });
}

describe('a full disk', () => {
  it('[AUDIT-5] [AUDIT-7] is told once; what waited is written whole when there is room again', async ({ skip }) => {
    const folder = smallDisk('64k');
    if (folder === undefined) return skip('no file system can be mounted');
    const ballast = join(folder, 'ballast');
    // One page is left.
    writeFileSync(ballast, Buffer.alloc(56 * 1_024));
    const { trail, failures, clock, path } = openTrail({ path: join(folder, 'audit.jsonl'), maxMB: 0.01 });
    for (const index of numbers(300)) trail.record('server:ready', named(index));
    await until('the failure', () => failures.length > 0);
    for (const index of numbers(20)) {
      trail.record('server:ready', named(300 + index));
      const before = clock.now();
      await retried(clock, 'an attempt', () => clock.now() > before);
    }
    expect(failures).toMatchObject([{ path, problem: expect.stringContaining('ENOSPC') }]);
    rmSync(ballast);
    await retried(clock, 'it works again', () => readFileSync(path, 'utf8').includes('"name":319'));
    await trail.close();
    // What was cut off where the disk was full is the only line that is not whole.
    const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
    const lines = texts
      .join('\n')
      .split('\n')
      .filter((line) => line !== '');
    const whole = lines.filter((line) => line.endsWith('}'));
    expect(lines.length - whole.length).toBeLessThanOrEqual(1);
    const names = whole.map((line) => (JSON.parse(line) as { name: number }).name).sort((a, b) => a - b);
    expect(names).toEqual(numbers(320));
    expect(failures).toHaveLength(1);
  });

  it('[AUDIT-7] and more lines than may wait: the oldest are dropped and counted', async ({ skip }) => {
    const folder = smallDisk('4m');
    if (folder === undefined) return skip('no file system can be mounted');
    const ballast = join(folder, 'ballast');
    const { bavail, bsize } = statfsSync(folder);
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    const { trail, failures, clock, path } = openTrail({ path: join(folder, 'audit.jsonl') });
    for (const index of numbers(30_000)) trail.record('server:ready', named(index));
    await until('the failure', () => failures.length > 0);
    rmSync(ballast);
    await retried(clock, 'it works again', () => linesNow(path).at(-1)?.name === 29_999);
    const [notice, ...rest] = linesOf(path);
    const { lines } = notice as { lines: number };
    expect(lines).toBeGreaterThan(1_000);
    expect(rest.map(({ name }) => name)).toEqual(numbers(30_000).slice(lines));
  });

  it('[AUDIT-5] the same without a disk: a write that the system refuses, and one that is cut off', async () => {
    let room = 300;
    const door = {
      ...fileSystem,
      write(descriptor: number, bytes: Buffer) {
        if (room === 0) return Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' }));
        const part = bytes.subarray(0, room);
        room -= part.length;
        return fileSystem.write(descriptor, part);
      },
    };
    const { trail, failures, clock, path } = openTrail({ path: join(auditFolder(), 'audit.jsonl') }, door);
    for (const index of numbers(10)) trail.record('server:ready', named(index));
    await until('the failure', () => failures.length > 0);
    room = 10;
    await retried(clock, 'another attempt', () => room === 0);
    room = 100_000;
    await retried(clock, 'it works again', () => readFileSync(path, 'utf8').includes('"name":9'));
    const lines = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith('}'));
    expect(lines.map((line) => (JSON.parse(line) as { name: number }).name)).toEqual(numbers(10));
    expect(failures).toHaveLength(1);
  });
});

/** A host with a trail at `path`, and `failures`, the number of those that were told. */
const host = (path: string, script: string) => `
  const { AuditTrail } = await import(SRC + '/monitor/audit/audit-trail.js');
  const { systemClock } = await import(SRC + '/runtime/clock.js');
  const fs = await import('node:fs');
  let failures = [];
  const place = { path: ${JSON.stringify(path)}, maxMB: 10, keep: 5 };
  const trail = new AuditTrail(place, ({ problem }) => failures.push(problem), { clock: systemClock });
  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  ${script}`;

describe('a host', () => {
  it('[AUDIT-5] without descriptors writes when it has some again', async () => {
    const path = join(auditFolder(), 'audit.jsonl');
    const script = host(
      path,
      `const open = [];
      try { for (;;) open.push(fs.openSync('/dev/null')); } catch {}
      for (let name = 0; name < 50; name++) trail.record('server:ready', { name });
      await until(() => failures.length > 0);
      trail.record('server:ready', { name: 50 });
      for (const descriptor of open) fs.closeSync(descriptor);
      await until(() => fs.existsSync(place.path) && fs.readFileSync(place.path, 'utf8').includes('"name":50'));
      console.log(JSON.stringify(failures));`,
    );
    const { stdout, code } = await runHost(script, { before: 'ulimit -n 60' });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual([expect.stringContaining('EMFILE')]);
    expect(linesOf(path).map(({ name }) => name)).toEqual(numbers(51));
  });

  it.each([
    ['calls process.exit()', 'process.exit(7);', 7],
    ['throws', "throw new Error('of the host');", 1],
    ['has nothing more to do', '', 0],
  ])('[AUDIT-8] that %s in the same tick: its lines are written', async (_what, end, expected) => {
    const path = join(auditFolder(), 'audit.jsonl');
    const record = "for (let name = 0; name < 3_000; name++) trail.record('server:ready', { name });";
    const { code } = await runHost(host(path, `${record} ${end}`));
    expect(code).toBe(expected);
    const names = linesOf(path).map(({ name }) => name as number);
    expect(names.sort((a, b) => a - b)).toEqual(numbers(3_000));
  });

  it('[AUDIT-8] whose trail cannot be written ends by itself, and at once', async () => {
    const path = join(auditFolder(), 'missing', 'audit.jsonl');
    const { code, stderr } = await runHost(host(path, "trail.record('server:ready', { name: 1 });"));
    expect([code, stderr]).toEqual([0, '']);
    expect(existsSync(path)).toBe(false);
  });

  it('[AUDIT-4] that is killed in the middle of its lines leaves whole ones, and the next host goes on', async () => {
    const folder = auditFolder();
    const path = join(folder, 'audit.jsonl');
    const script = host(
      path,
      `for (let name = 0; ; name++) {
        trail.record('server:ready', { name });
        if (name % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (name === 2_000) process.kill(process.pid, 'SIGKILL');
      }`,
    );
    expect((await runHost(script)).signal).toBe('SIGKILL');
    const { trail } = openTrail({ path });
    trail.record('server:ready', named('next'));
    await trail.close();
    const names = allLinesOf(folder).map(({ name }) => name);
    expect(names.at(-1)).toBe('next');
    expect(names.slice(0, -1)).toEqual(numbers(names.length - 1));
  });

  it.runIf(OBSTACLE === undefined)(
    '[AUDIT-14] that may write to the file, and not to its folder, says at once that it cannot rotate (needs root)',
    async () => {
      const path = join(auditFolder(), 'audit.jsonl');
      chmodSync(dirname(path), 0o755);
      writeFileSync(path, '', { mode: 0o600 });
      chownSync(path, MALLORY, MALLORY);
      const script = host(
        path,
        `process.setgroups([]);
        process.setgid(${MALLORY});
        process.setuid(${MALLORY});
        for (let name = 0; name < 3; name++) trail.record('server:ready', { name });
        await trail.close();
        console.log(JSON.stringify(failures));`,
      );
      const { stdout, stderr } = await runHost(script);
      expect([JSON.parse(stdout), stderr]).toEqual([[expect.stringContaining('(EACCES), so it cannot rotate')], '']);
      expect(linesOf(path).map(({ name }) => name)).toEqual(numbers(3));
    },
  );

  it('[AUDIT-8] that exits kills its servers first, then writes its lines, whatever was there first', async () => {
    const script = `
      const { atExit } = await import(SRC + '/monitor/audit/at-exit.js');
      const { killAtExit } = await import(SRC + '/process/tree/kill-at-exit.js');
      const say = (what) => fs.writeSync(1, what + ' ');
      const fs = await import('node:fs');
      process.on('exit', () => say('host'));
      atExit({ flushNow: () => say('flush') });
      killAtExit({ killNow: () => say('kill') });
      process.exit(7);`;
    const { stdout, code } = await runHost(script);
    expect([stdout, code]).toEqual(['kill host flush ', 7]);
  });

  it('[AUDIT-8] whose disk does not answer exits without it; its servers are dead', async () => {
    const path = join(auditFolder(), 'audit.jsonl');
    const script = `
      const { AuditTrail } = await import(SRC + '/monitor/audit/audit-trail.js');
      const { fileSystem } = await import(SRC + '/monitor/audit/audit-door.js');
      const { systemClock } = await import(SRC + '/runtime/clock.js');
      const { MCPServerPool } = await import(SRC + '/index.js');
      const fs = await import('node:fs');
      let isAsked = false;
      const write = () => new Promise(() => { isAsked = true; });
      const appendNow = () => { for (;;); };
      const place = { path: ${JSON.stringify(path)}, maxMB: 10, keep: 5 };
      const dependencies = { clock: systemClock, door: { ...fileSystem, write, appendNow } };
      const trail = new AuditTrail(place, () => {}, dependencies);
      trail.record('server:ready', { name: 1 });
      const pool = new MCPServerPool({ servers: { echo: { command: process.execPath, args: [FIXTURES + '/echo.js'] } } });
      const { pid } = await pool.getServer('echo');
      fs.writeSync(1, String(pid));
      const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      while (!isAsked) await pass(5);
      // Each of the two timers of the trail is due before one of these.
      for (let count = 0; count < 2; count++) await pass(300);
      trail.record('server:ready', { name: 2 });
      process.exit(7);`;
    const { stdout, code } = await runHost(script);
    expect(code).toBe(7);
    await until('the server is dead', () => !isLiving(Number(stdout)));
  });
});
