import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type AuditDoor, fileSystem } from '../../../src/monitor/audit/audit-door.js';
import type { AuditTrail } from '../../../src/monitor/audit/audit-trail.js';
import { allLinesOf, auditFolder, linesNow, linesOf, openTrail } from '../../helpers/audit.js';
import { runHost } from '../../helpers/host.js';
import { until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE } from '../../hostile/strangers.js';

const newPath = () => join(auditFolder(), 'audit.jsonl');
const named = (name: unknown) => ({ name });
const namesIn = (path: string) => linesOf(path).map(({ name }) => name);
const namesNow = (path: string) => linesNow(path).map(({ name }) => name);
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Opens a trail, writes one line, and returns what was told. */
async function tried(path: string): Promise<string> {
  const { trail, failures } = openTrail({ path });
  trail.record('server:ready', named('x'));
  await trail.close();
  expect(failures.map((failure) => failure.path)).toEqual([path]);
  return failures[0]?.problem ?? '';
}

describe('lines', () => {
  it('[AUDIT-1] are written in order, one for each event, into a file of this user alone', async () => {
    const { trail, failures, path } = openTrail({ path: newPath() });
    for (const index of numbers(5_000)) trail.record('server:ready', named(index));
    await trail.close();
    expect(namesIn(path)).toEqual(numbers(5_000));
    expect(linesOf(path)[0]).toMatchObject({ at: expect.stringMatching(/^\d{4}-.*Z$/), host: process.pid });
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
    expect(failures).toEqual([]);
  });

  it('[AUDIT-1] are appended to what an earlier host has written', async () => {
    const path = newPath();
    for (const name of ['first', 'second']) {
      const { trail } = openTrail({ path });
      trail.record('server:ready', named(name));
      await trail.close();
    }
    expect(namesIn(path)).toEqual(['first', 'second']);
  });

  it('[AUDIT-1] go to a file that others could read before, and cannot any more', async () => {
    const path = newPath();
    writeFileSync(path, '{"of":"an earlier tool"}\n');
    chmodSync(path, 0o644);
    const { trail, failures } = openTrail({ path });
    trail.record('server:ready', named('x'));
    await trail.close();
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
    expect(namesIn(path)).toEqual([undefined, 'x']);
    chmodSync(path, 0o644);
    const { trail: last } = openTrail({ path });
    last.record('server:ready', named('at exit'));
    last.flushNow();
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600');
    expect(failures).toEqual([]);
  });

  it('[AUDIT-13] that come when the last one is written need no other event', async () => {
    for (let turns = 0; turns < 12; turns++) {
      let trail: AuditTrail | undefined;
      let writes = 0;
      const door: AuditDoor = {
        ...fileSystem,
        write(descriptor, bytes) {
          writes += 1;
          const written = fileSystem.write(descriptor, bytes);
          if (writes === 1) {
            void written.then(async () => {
              for (let turn = 0; turn < turns; turn++) await undefined;
              trail?.record('server:ready', named('next'));
            });
          }
          return written;
        },
      };
      const opened = openTrail({ path: newPath() }, door);
      trail = opened.trail;
      trail.record('server:ready', named('first'));
      await until(`the line after ${turns} turns`, () => namesNow(opened.path).includes('next'));
      expect(namesIn(opened.path)).toEqual(['first', 'next']);
      await trail.close();
    }
  });

  it.each<[string, (trail: AuditTrail) => void | Promise<void>]>([
    ['', (trail) => trail.close()],
    [' at the exit of the host', (trail) => trail.flushNow()],
  ])('[AUDIT-4] begin anew%s after one that a host has not completed, because it died', async (_when, write) => {
    const path = newPath();
    writeFileSync(path, '{"event":"server:ready"}\n{"event":"server:sto', { mode: 0o600 });
    const { trail } = openTrail({ path });
    trail.record('server:ready', named('next'));
    await write(trail);
    const [, torn, next] = readFileSync(path, 'utf8').split('\n');
    expect(torn).toBe('{"event":"server:sto');
    expect(JSON.parse(next ?? '')).toMatchObject({ name: 'next' });
  });

  it('[AUDIT-1] after close() are none', async () => {
    const { trail, path } = openTrail({ path: newPath() });
    await trail.close();
    trail.record('server:ready', named('late'));
    await trail.close();
    expect(existsSync(path)).toBe(false);
  });
});

describe('rotation', () => {
  it('[AUDIT-2] keeps as many files as asked, each at most of the size, and no part of a line', async () => {
    const { trail, failures, path } = openTrail({ path: newPath(), maxMB: 0.01, keep: 2 });
    for (const index of numbers(1_000)) {
      trail.record('server:ready', named(index));
      // Not one batch, which may be larger than the file.
      if (index % 50 === 0) await until('it is written', () => namesNow(path).includes(index));
    }
    await trail.close();
    expect(readdirSync(dirname(path)).sort()).toEqual(['audit.jsonl', 'audit.jsonl.1', 'audit.jsonl.2']);
    const names = allLinesOf(dirname(path)).map(({ name }) => name);
    expect(names).toEqual(numbers(1_000).slice(-names.length));
    for (const file of ['', '.1', '.2']) expect(statSync(path + file).size).toBeLessThan(0.01 * 1_048_576 + 1);
    expect(failures).toEqual([]);
  });

  it('[AUDIT-2] with keep: 0 begins an empty file', async () => {
    const { trail, path } = openTrail({ path: newPath(), maxMB: 0.001, keep: 0 });
    for (const index of numbers(40)) {
      trail.record('server:ready', named(index));
      await until('it is written', () => namesNow(path).includes(index));
    }
    await trail.close();
    expect(readdirSync(dirname(path))).toEqual(['audit.jsonl']);
    expect(namesIn(path).at(-1)).toBe(39);
    expect(statSync(path).size).toBeLessThan(1_500);
  });

  it('[AUDIT-3] with keep: 0 by another host, between the last look and the write, loses no line', async () => {
    const path = newPath();
    let removals = 0;
    const door: AuditDoor = {
      ...fileSystem,
      async write(descriptor, bytes) {
        if (removals++ < 3) rmSync(path);
        return fileSystem.write(descriptor, bytes);
      },
    };
    const { trail, failures } = openTrail({ path, keep: 0 }, door);
    for (const index of numbers(5)) trail.record('server:ready', named(index));
    await trail.close();
    expect(namesIn(path)).toEqual(numbers(5));
    expect([removals, failures]).toEqual([4, []]);
  });

  it('[AUDIT-3] [AUDIT-5] whose file is removed at each write is told once, and goes on later', async () => {
    const path = newPath();
    let isRemoved = true;
    const door: AuditDoor = {
      ...fileSystem,
      async write(descriptor, bytes) {
        if (isRemoved) rmSync(path);
        return fileSystem.write(descriptor, bytes);
      },
    };
    const { trail, failures, clock } = openTrail({ path }, door);
    trail.record('server:ready', named('x'));
    await until('the failure', () => failures.length > 0 && clock.pending === 1);
    isRemoved = false;
    clock.advance(1_000);
    await until('it is written', () => namesNow(path).includes('x'));
    expect(failures).toMatchObject([{ problem: expect.stringContaining('another program replaces or removes it') }]);
  });

  it('[AUDIT-14] that the folder will not allow is told with the first line, and the lines are written', async () => {
    const denied = Object.assign(new Error('EACCES'), { code: 'EACCES' });
    const refuse = () => Promise.reject(denied);
    const door: AuditDoor = { ...fileSystem, mayWriteIn: refuse, mkdir: refuse };
    const { trail, failures, path } = openTrail({ path: newPath(), maxMB: 1 }, door);
    for (const name of ['one', 'two']) {
      trail.record('server:ready', named(name));
      await until('it is written', () => namesNow(path).includes(name));
    }
    await trail.close();
    expect(failures).toMatchObject([{ path, problem: expect.stringMatching(/\(EACCES\), so it cannot rotate.*1 MB/) }]);
  });

  it.skipIf(process.getuid?.() === 0)('[AUDIT-14] a real one: the file is ours, its folder closed', async () => {
    const path = newPath();
    writeFileSync(path, '', { mode: 0o600 });
    chmodSync(dirname(path), 0o500);
    onTestFinished(() => chmodSync(dirname(path), 0o700));
    expect(await tried(path)).toContain('so it cannot rotate');
    expect(namesIn(path)).toEqual(['x']);
  });

  it('[AUDIT-2] waits for another host that rotates, but not for one that has died meanwhile', async () => {
    const { trail, path, failures } = openTrail({ path: newPath(), maxMB: 0.0001, keep: 1 });
    writeFileSync(path, `${JSON.stringify({ name: 'x'.repeat(200) })}\n`, { mode: 0o600 });
    mkdirSync(`${path}.lock`);
    trail.record('server:ready', named('during'));
    await until('it is written', () => namesNow(path).includes('during'));
    expect(existsSync(`${path}.1`)).toBe(false);
    utimesSync(`${path}.lock`, new Date(0), new Date(0));
    trail.record('server:ready', named('after'));
    await trail.close();
    expect(namesIn(path)).toEqual(['after']);
    expect(readdirSync(dirname(path)).sort()).toEqual(['audit.jsonl', 'audit.jsonl.1']);
    expect(failures).toEqual([]);
  });

  it('[AUDIT-3] by two pools and three hosts with one path loses no line and tears none', async () => {
    const path = newPath();
    const place = { path, maxMB: 0.02, keep: 100 };
    const script = `
      const { AuditTrail } = await import(SRC + '/monitor/audit/audit-trail.js');
      const { systemClock } = await import(SRC + '/runtime/clock.js');
      const trail = new AuditTrail(${JSON.stringify(place)}, (failure) => console.log(failure), { clock: systemClock });
      for (let index = 0; index < 1_000; index++) {
        trail.record('server:ready', { name: process.pid + ':' + index });
        if (index % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await trail.close();
      console.log(process.pid);`;
    const trails = [openTrail(place), openTrail(place)];
    const hosts = [runHost(script), runHost(script), runHost(script)];
    for (const index of numbers(200)) {
      for (const [which, { trail }] of trails.entries()) trail.record('server:ready', named(`${which}:${index}`));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(trails.map(({ trail }) => trail.close()));
    const pids = (await Promise.all(hosts)).map(({ stdout }) => stdout.trim());
    const names = allLinesOf(dirname(path)).map(({ name }) => name);
    const expected = [
      ...pids.flatMap((pid) => numbers(1_000).map((index) => `${pid}:${index}`)),
      ...trails.flatMap((_, which) => numbers(200).map((index) => `${which}:${index}`)),
    ];
    expect(names.sort()).toEqual(expected.sort());
    expect(trails.flatMap(({ failures }) => failures)).toEqual([]);
    expect(readdirSync(dirname(path)).length).toBeGreaterThan(5);
  });
});

describe('a file that is changed by others', () => {
  it.each<[string, (path: string) => void]>([
    ['removed', (path) => rmSync(path)],
    ['moved by logrotate', (path) => renameSync(path, `${path}.old`)],
    ['emptied', (path) => writeFileSync(path, '')],
    [
      'replaced',
      (path) => {
        rmSync(path);
        writeFileSync(path, '', { mode: 0o600 });
      },
    ],
  ])('[AUDIT-4] %s: the next line is in the file of that name', async (_what, change) => {
    const { trail, failures, path } = openTrail({ path: newPath() });
    trail.record('server:ready', named('before'));
    await until('the line', () => namesNow(path).length === 1);
    change(path);
    trail.record('server:ready', named('after'));
    await trail.close();
    // A line whose file goes before its write has come back is written again.
    expect(namesIn(path).filter((name) => name !== 'before')).toEqual(['after']);
    expect(failures).toEqual([]);
  });

  it('[AUDIT-5] whose folder is removed: one failure, and nothing is lost when the folder is there again', async () => {
    const path = join(auditFolder(), 'logs', 'audit.jsonl');
    mkdirSync(dirname(path));
    const { trail, failures, clock } = openTrail({ path });
    trail.record('server:ready', named('before'));
    await until('the line', () => namesNow(path).length === 1);
    rmSync(dirname(path), { recursive: true });
    for (const name of ['one', 'two']) trail.record('server:ready', named(name));
    await until('the failure', () => failures.length > 0);
    for (const attempt of numbers(5)) {
      trail.record('server:ready', named(attempt));
      await until(
        'the attempt has failed',
        () => clock.nextIn !== undefined && clock.nextIn <= 30_000 && clock.pending === 1,
      );
      clock.advance(clock.nextIn ?? 0);
    }
    expect(failures).toMatchObject([{ path, problem: expect.stringMatching(/^ENOENT.*it is tried again by itself$/) }]);
    mkdirSync(dirname(path));
    await until('it works again', () => {
      if (clock.pending === 1) clock.advance(30_000);
      return existsSync(path);
    });
    await trail.close();
    // As above: `before` may be there again.
    expect(namesIn(path).filter((name) => name !== 'before')).toEqual(['one', 'two', ...numbers(5)]);
    expect(failures).toHaveLength(1);
  });
});

describe('a file that another program replaces all the time', () => {
  it('[AUDIT-5] is told once, in bounded time', async () => {
    let number = 0n;
    const door: AuditDoor = {
      ...fileSystem,
      lstat: async (path) => Object.assign(await fileSystem.lstat(path), { ino: number++ }),
    };
    const { trail, failures } = openTrail({ path: newPath() }, door);
    trail.record('server:ready', named('x'));
    await trail.close();
    expect(failures).toMatchObject([{ problem: expect.stringContaining('another program replaces or removes it') }]);
  });
});

describe('refused', () => {
  const target = '{"of":"another program"}\n';

  it('[AUDIT-6] is a link, and what it leads to is not touched', async () => {
    const path = newPath();
    writeFileSync(`${path}.target`, target);
    symlinkSync(`${path}.target`, path);
    expect(await tried(path)).toContain('it is a symbolic link');
    expect(readFileSync(`${path}.target`, 'utf8')).toBe(target);
  });

  it('[AUDIT-6] is a link that takes the place of the file while it is written', async () => {
    const { trail, failures, path } = openTrail({ path: newPath() });
    trail.record('server:ready', named('before'));
    await until('the line', () => namesNow(path).length === 1);
    rmSync(path);
    writeFileSync(`${path}.target`, target);
    symlinkSync(`${path}.target`, path);
    trail.record('server:ready', named('after'));
    await trail.close();
    expect(failures).toMatchObject([{ problem: expect.stringContaining('it is a symbolic link') }]);
    expect(readFileSync(`${path}.target`, 'utf8')).toBe(target);
  });

  it('[AUDIT-6] is a hard link', async () => {
    const path = newPath();
    writeFileSync(`${path}.target`, target, { mode: 0o600 });
    linkSync(`${path}.target`, path);
    expect(await tried(path)).toContain('it is a hard link');
    expect(readFileSync(path, 'utf8')).toBe(target);
  });

  it('[AUDIT-6] is a file that others can write to', async () => {
    const path = newPath();
    writeFileSync(path, target);
    chmodSync(path, 0o620);
    expect(await tried(path)).toContain('chmod go-w');
    expect(readFileSync(path, 'utf8')).toBe(target);
  });

  it('[AUDIT-6] is what is no file: a folder, a FIFO without a reader', async () => {
    const path = newPath();
    mkdirSync(path);
    expect(await tried(path)).toContain('EISDIR');
    rmSync(path, { recursive: true });
    spawnSync('sh', ['-c', 'mkfifo "$0"', path]);
    expect(await tried(path)).toContain('it is no regular file');
  });

  it('[AUDIT-6] is a folder that others can write to', async () => {
    const path = newPath();
    chmodSync(dirname(path), 0o777);
    expect(await tried(path)).toMatch(/^its folder is not safe: .*chmod go-w/);
    expect(existsSync(path)).toBe(false);
  });

  it.runIf(OBSTACLE === undefined)('[AUDIT-6] is a file or folder of another user (needs root)', async () => {
    const path = newPath();
    writeFileSync(path, target, { mode: 0o600 });
    chownSync(path, MALLORY, MALLORY);
    expect(await tried(path)).toContain('it belongs to another user');
    expect(readFileSync(path, 'utf8')).toBe(target);
    chownSync(dirname(path), MALLORY, MALLORY);
    expect(await tried(path)).toMatch(/^its folder is not safe/);
  });

  it.runIf(OBSTACLE === undefined)(
    '[AUDIT-6] is a lock of another user, which would let the file grow for ever (needs root)',
    async () => {
      const path = newPath();
      writeFileSync(path, 'x'.repeat(2_000_000), { mode: 0o600 });
      mkdirSync(`${path}.lock`);
      chownSync(`${path}.lock`, MALLORY, MALLORY);
      const { trail, failures } = openTrail({ path, maxMB: 1 });
      trail.record('server:ready', named('x'));
      await trail.close();
      expect(failures).toMatchObject([{ problem: expect.stringContaining('.lock belongs to another user') }]);
    },
  );
});

describe('a disk that does not answer', () => {
  function stuck() {
    let answer: (() => void) | undefined;
    let writes = 0;
    const door: AuditDoor = {
      ...fileSystem,
      write: async (descriptor, bytes) => {
        writes += 1;
        if (writes === 1) await new Promise<void>((resolve) => (answer = resolve));
        return fileSystem.write(descriptor, bytes);
      },
    };
    return { door, answer: () => answer?.(), isStuck: () => answer !== undefined };
  }

  it('[AUDIT-5] [AUDIT-7] is told once; the oldest lines are dropped, and the next line says how many', async () => {
    const { door, answer, isStuck } = stuck();
    const { trail, failures, clock, path } = openTrail({ path: newPath() }, door);
    trail.record('server:ready', named('first'));
    await until('it writes', isStuck);
    for (const index of numbers(20_000)) trail.record('server:ready', named(index));
    clock.advance(9_999);
    expect(failures).toEqual([]);
    clock.advance(1);
    clock.advance(60_000);
    expect(failures).toMatchObject([{ problem: expect.stringContaining('the disk has not answered for 10000 ms') }]);
    answer();
    await until('the last line', () => namesNow(path).at(-1) === 19_999);
    await trail.close();
    const [first, notice, ...rest] = linesOf(path);
    expect(first).toMatchObject({ name: 'first' });
    const { lines } = notice as { lines: number };
    expect(notice).toMatchObject({ event: 'audit:dropped', lines: expect.any(Number) });
    expect(rest.map(({ name }) => name)).toEqual(numbers(20_000).slice(lines));
    // What waited was about 1 MB, of more than 1.8 MB.
    expect(statSync(path).size).toBeGreaterThan(1_000_000);
    expect(statSync(path).size).toBeLessThan(1_200_000);
    expect(failures).toHaveLength(1);
  });

  it.each([
    ['is waited for', 499, true],
    ['is not touched', 500, false],
  ])('[AUDIT-8] %s at the exit of the host when it is silent for %i ms', async (_what, silent, isTouched) => {
    const { door, answer, isStuck } = stuck();
    const appended: string[] = [];
    const appendNow = (path: string) => void appended.push(path);
    const { trail, clock, failures } = openTrail({ path: newPath() }, { ...door, appendNow });
    trail.record('server:ready', named('first'));
    await until('it writes', isStuck);
    trail.record('server:ready', named('second'));
    clock.advance(silent);
    trail.flushNow();
    expect(appended).toHaveLength(isTouched ? 1 : 0);
    expect(failures).toEqual([]);
    answer();
    await until('it is written', () => clock.pending === 0);
  });

  it('[AUDIT-8] is written to at the exit when it has answered, and the host has not listened', async () => {
    const { door, answer, isStuck } = stuck();
    const appended: string[] = [];
    const appendNow = (path: string) => void appended.push(path);
    const { trail, clock } = openTrail({ path: newPath() }, { ...door, appendNow });
    trail.record('server:ready', named('first'));
    await until('it writes', isStuck);
    trail.record('server:ready', named('second'));
    // The host was blocked for long: the first timer of all is late, and the answer waits behind it.
    clock.jump(60_000);
    answer();
    clock.advance(0);
    trail.flushNow();
    expect(appended).toHaveLength(1);
    await until('it is written', () => clock.pending === 0);
  });

  it('[AUDIT-8] delays the end by a second at most', async () => {
    const { door, answer, isStuck } = stuck();
    const { trail, clock } = openTrail({ path: newPath() }, door);
    trail.record('server:ready', named('first'));
    await until('it writes', isStuck);
    let isClosed = false;
    const closed = trail.close().then(() => {
      isClosed = true;
    });
    await clock.advanceAndFlush(999);
    expect(isClosed).toBe(false);
    clock.advance(1);
    await closed;
    answer();
    await until('the descriptor is closed', () => clock.pending === 0);
  });
});
