import { chmodSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ExceededFolder, ResolvedFolderBudget } from '../../../src/config/folder-options.js';
import { FolderBudget } from '../../../src/monitor/host/folder-budget.js';
import { PinnedFolder } from '../../../src/monitor/host/pinned-folder.js';
import { ManualClock } from '../../helpers/clock.js';
import { newFile, newFolder } from '../../helpers/folders.js';
import { runHost } from '../../helpers/host.js';
import { flush } from '../../helpers/until.js';
import { OBSTACLE } from '../../hostile/strangers.js';

/** What fails from now on: to close a folder; each open and read after so many. */
const disk = vi.hoisted(() => ({ failsToClose: false, left: Number.POSITIVE_INFINITY }));

beforeEach(() => {
  Object.assign(disk, { failsToClose: false, left: Number.POSITIVE_INFINITY });
});

vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  const failure = (code: string) => Object.assign(new Error(code), { code });
  const take = () => {
    if (disk.left === 0) throw failure('EMFILE');
    disk.left -= 1;
  };
  const open = async (...args: Parameters<typeof real.open>) => {
    take();
    const handle = await real.open(...args);
    const close = handle.close.bind(handle);
    if (disk.failsToClose) {
      handle.close = async () => {
        await close();
        throw failure('EIO');
      };
    }
    return handle;
  };
  const readFile = async (...args: Parameters<typeof real.readFile>) => {
    take();
    return real.readFile(...args);
  };
  return { ...real, open, readFile };
});

/** In one hour, when no file is young. */
const later = () => Date.now() + 3_600_000;

function budget(path: string, onExceeded: ResolvedFolderBudget['onExceeded'], limitMB = 0.2): FolderBudget {
  return new FolderBudget({ path, limitMB, onExceeded }, { date: later });
}

describe('a folder with a budget', () => {
  it('[FOLDER-1] is measured with the folders in it, and reported when it takes more', async () => {
    const path = newFolder();
    for (const name of ['a', 'b', 'sub/c', 'sub/deeper/d']) newFile(path, name, 1);
    const report = await budget(path, 'report').look();
    expect(report).toEqual({
      path,
      limitMB: 0.2,
      sizeMB: 0.4,
      files: 4,
      measuredMB: 0.4,
      exceeded: true,
      isCall: false,
      removed: 0,
      removedMB: 0,
      problem: undefined,
    });
    expect(await budget(path, 'report', 0.5).look()).toMatchObject({ sizeMB: 0.4, exceeded: false });
  });

  it('[FOLDER-1] a file counts once and by its place on the disk, a link and what it leads to not at all', async () => {
    const [path, outside] = [newFolder(), newFolder()];
    newFile(outside, 'file', 1);
    linkSync(newFile(path, 'one', 1), join(path, 'again'));
    symlinkSync(outside, join(path, 'folder'));
    symlinkSync(join(outside, 'file'), join(path, 'link'));
    symlinkSync('.', join(path, 'circle'));
    expect(await budget(path, 'report').look()).toMatchObject({ files: 1, sizeMB: 0.1, problem: undefined });
  });

  it('[FOLDER-1] that is not there takes nothing, and is told; so is a link, or a file', async () => {
    const folder = newFolder();
    const look = (name: string) => budget(join(folder, name), 'report').look();
    expect(await look('none')).toMatchObject({
      sizeMB: 0,
      files: 0,
      exceeded: false,
      problem: 'there is no such folder',
    });
    expect(await look('no/where')).toMatchObject({ sizeMB: 0, exceeded: false, problem: 'there is no such folder' });
    symlinkSync('/', join(folder, 'link'));
    expect((await look('link')).problem).toMatch(/^it is .*a symbolic link/);
    writeFileSync(join(folder, 'file'), '');
    expect((await look('file')).problem).toMatch(/^it is no folder/);
  });

  it('[FOLDER-1] may have any names, and files that vanish meanwhile', async () => {
    const path = newFolder();
    const names = ['blank and\nline', 'ünï', '-rf', '$HOME', '%2e'];
    for (const name of names) newFile(path, name, 1);
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0xfe])]), Buffer.alloc(102_400));
    expect(await budget(path, 'report').look()).toMatchObject({ files: 6, sizeMB: 0.6, problem: undefined });
    const { statusOf } = PinnedFolder.prototype;
    vi.spyOn(PinnedFolder.prototype, 'statusOf').mockImplementationOnce(function (this: PinnedFolder, name) {
      rmSync(path, { recursive: true });
      return statusOf.call(this, name);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    expect(await budget(path, 'report').look()).toMatchObject({ files: 0, problem: undefined });
  });

  it('[FOLDER-1] says what it could not measure: too many files, too deep, or stopped', async () => {
    const path = newFolder();
    for (let index = 0; index < 30; index++) writeFileSync(join(path, String(index)), 'x');
    const limited = (steps: number, time: number) =>
      new FolderBudget({ path, limitMB: 0.01, onExceeded: 'prune-oldest' }, { limits: { steps, time }, date: later });
    const { files, removed, problem } = await limited(20, 60_000).look();
    expect(files).toBe(20);
    expect(problem).toMatch(/^nothing is removed: it has too many files: only 20 were measured/);
    expect((await limited(1_000, 0).look()).problem).toMatch(/only 0 were measured/);
    expect((await limited(1_000, 60_000).look({ signal: AbortSignal.abort() })).problem).toMatch(
      /^the look was stopped/,
    );
    expect(removed).toBe(0);
    expect(readdirSync(path)).toHaveLength(30);
    const deep = newFolder();
    mkdirSync(join(deep, 'd/'.repeat(100)), { recursive: true });
    expect((await budget(deep, 'report').look()).problem).toBe('1 folders in it, or files, could not be read');
  });

  it('[FOLDER-1] is measured also when the disk fails as the folder is closed', async () => {
    const path = newFolder();
    newFile(path, 'sub/a', 1);
    disk.failsToClose = true;
    const report = await budget(path, 'report').look();
    expect(report).toMatchObject({ files: 1, problem: undefined });
  });

  it('[FOLDER-1] without free descriptors it is not known whether the limit is exceeded, and nothing is removed', async () => {
    const path = newFolder();
    for (const name of ['a', 'sub/b', 'sub/deeper/c']) newFile(path, name, 9);
    const problems: (string | undefined)[] = [];
    // The root is opened, and its mount read twice; then each folder is opened, and its mount read. Then /proc is searched.
    for (let left = 0; left < 8; left++) {
      disk.left = left;
      const { exceeded, removed, problem } = await budget(path, 'prune-oldest', 0.25).look();
      expect({ exceeded, removed }).toEqual({ exceeded: left < 7 ? undefined : true, removed: 0 });
      problems.push(problem);
    }
    const measured = (files: number) => `only ${files} files were measured (EMFILE)`;
    expect(problems).toEqual([
      ...['it could not be read (EMFILE)', 'it could not be read (EMFILE)'],
      ...[0, 1, 1, 2, 2].map(measured),
      'nothing is removed for 10 minutes: it could not be found out which files are open',
    ]);
  });

  it.runIf(OBSTACLE === undefined)('[FOLDER-1] is measured as far as this user may read it (needs root)', async () => {
    const path = newFolder(0o755);
    newFile(path, 'a', 1);
    newFile(path, 'secret/b', 1);
    chmodSync(join(path, 'secret'), 0o700);
    const { stdout, stderr } = await runHost(`
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      process.setgroups([]); process.setgid(65_534); process.setuid(65_534);
      const { files, problem } = await new FolderBudget({ path: ${JSON.stringify(path)}, limitMB: 1, onExceeded: 'report' }).look();
      console.log(JSON.stringify({ files, problem }));
    `);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ files: 1, problem: '1 folders in it, or files, could not be read' });
  });

  it('[FOLDER-2] is measured while the host works on, and the look keeps no host alive', async () => {
    const path = newFolder();
    for (let index = 0; index < 1_200; index++) writeFileSync(join(path, String(index)), 'x');
    let turns = 0;
    let next: NodeJS.Immediate;
    const turn = () => {
      turns += 1;
      next = setImmediate(turn);
    };
    turn();
    const one = budget(path, 'report', 1_000);
    const [first, second] = [one.look(), one.look()];
    expect(second).toBe(first);
    expect((await first).files).toBe(1_200);
    clearImmediate(next!);
    expect(turns).toBeGreaterThan(500);
    const { code, stdout, stderr } = await runHost(`
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      void new FolderBudget({ path: ${JSON.stringify(path)}, limitMB: 1, onExceeded: 'report' }).look().then(() => console.log('ended'));
    `);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

describe('a function of the host', () => {
  it('[FOLDER-3] gets what was measured, and not when the limit holds or nothing may be changed', async () => {
    const path = newFolder();
    for (const name of ['a', 'b', 'c']) newFile(path, name, 1);
    const calls: ExceededFolder[] = [];
    const note = (usage: ExceededFolder) => calls.push(usage);
    await budget(path, note, 1).look();
    await budget(path, note).look({ dryRun: true });
    expect(calls).toEqual([]);
    expect((await budget(path, note).look()).problem).toBeUndefined();
    expect(calls).toEqual([{ path, limitMB: 0.2, sizeMB: 0.3, files: 3 }]);
  });

  it('[FOLDER-3] that fails, or never ends, is told, and nothing is changed', async () => {
    const path = newFolder();
    for (const name of ['a', 'b', 'c']) newFile(path, name, 1);
    const thrown = () => {
      throw new Error('disk on fire');
    };
    for (const fails of [thrown, async () => thrown()]) {
      expect(await budget(path, fails).look()).toMatchObject({
        exceeded: true,
        files: 3,
        removed: 0,
        problem: 'onExceeded failed: disk on fire',
      });
    }
    const clock = new ManualClock();
    let end = () => {};
    const onExceeded = vi.fn(() => new Promise<void>((resolve) => (end = resolve)));
    const one = new FolderBudget({ path, limitMB: 0.2, onExceeded }, { clock });
    const look = one.look();
    await vi.waitFor(() => expect(clock.pending).toBe(1));
    expect(clock.holding).toBe(0);
    clock.advance(60_000);
    expect((await look).problem).toBe('onExceeded has not ended after 60000 ms');
    expect((await one.look()).problem).toBe('onExceeded has not ended since the last look');
    expect(onExceeded).toHaveBeenCalledTimes(1);
    end();
    await flush();
    onExceeded.mockImplementation(async () => {});
    expect((await one.look()).problem).toBeUndefined();
    expect(clock.pending).toBe(0);
  });
});
