import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FolderBudget } from '../../../src/monitor/host/folder-budget.js';
import type { FolderReport } from '../../../src/monitor/host/folder-report.js';
import { findHomes } from '../../../src/monitor/host/homes.js';
import { PinnedFolder } from '../../../src/monitor/host/pinned-folder.js';
import { ROOT } from '../../helpers/compiled.js';
import { newFile, newFolder, setAge } from '../../helpers/folders.js';
import { hostArgs, runHost } from '../../helpers/host.js';
import { until } from '../../helpers/until.js';
import { MALLORY, NO_NAMESPACES, OBSTACLE } from '../../hostile/strangers.js';

/** In one hour, when no file is young. */
const later = () => Date.now() + 3_600_000;

function prune(path: string, { limitMB = 0.25, dryRun = false, date = later } = {}): Promise<FolderReport> {
  return new FolderBudget({ path, limitMB, onExceeded: 'prune-oldest' }, { date }).look({ dryRun });
}

/** All files below a folder. */
function filesIn(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();
}

/** A folder of four files, the first the oldest: 0.4 MB, of which 0.25 MB may stay. */
function fourFiles(path = newFolder()): string {
  ['sub/1', '2', 'sub/deeper/3', '4'].forEach((name, index) => {
    newFile(path, name, 9 - index);
  });
  return path;
}

/** A folder that nothing may touch. */
function victim(): string {
  const path = newFolder();
  for (const name of ['1', '2', 'deeper/3']) newFile(path, name, 100);
  return path;
}

describe('the oldest files of a folder', () => {
  it('[FOLDER-4] are removed until the rest fits, and no more', async () => {
    const path = fourFiles();
    const left = {
      path,
      limitMB: 0.25,
      sizeMB: 0.2,
      files: 2,
      measuredMB: 0.4,
      exceeded: true,
      isCall: false,
      removed: 2,
      removedMB: 0.2,
      problem: undefined,
    };
    expect(await prune(path, { dryRun: true })).toEqual(left);
    expect(filesIn(path)).toEqual(['2', '4', 'sub/1', 'sub/deeper/3']);
    expect(await prune(path)).toEqual(left);
    expect(filesIn(path)).toEqual(['4', 'sub/deeper/3']);
    expect(await prune(path)).toMatchObject({ removed: 0, exceeded: false, files: 2 });
  });

  it('[FOLDER-4] of any name', async () => {
    const path = newFolder();
    const name = Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0xfe, 10])]);
    writeFileSync(name, Buffer.alloc(102_400));
    newFile(path, 'ünï/ö\n', 9);
    expect(await prune(path, { limitMB: 0 })).toMatchObject({ removed: 2, files: 0, problem: undefined });
    expect([existsSync(name), filesIn(path)]).toEqual([false, []]);
  });

  it('[FOLDER-5] that were changed within 60 s stay, whatever time their content has', async () => {
    const path = fourFiles();
    const report = await prune(path, { date: Date.now });
    expect(report).toMatchObject({ removed: 0, files: 4 });
    expect(report.problem).toBe('not enough could be removed; files that stay: 4 younger than 60 s');
    expect(await prune(path, { date: () => Date.now() - 86_400_000 })).toMatchObject({ removed: 0, files: 4 });
  });

  it('[FOLDER-5] that a process holds open or has mapped stay; the next ones go', async () => {
    const path = fourFiles();
    const program = join(path, 'sub/program');
    copyFileSync('/bin/sleep', program);
    chmodSync(program, 0o700);
    setAge(program, 99_999);
    // The first holds a file open; the second has no descriptor of its program, but has it mapped.
    const holder = spawn('sh', ['-c', 'exec sleep 50 <"$0"', join(path, 'sub/1')], { stdio: 'ignore' });
    const runner = spawn(program, ['50'], { stdio: 'ignore' });
    onTestFinished(() => {
      holder.kill('SIGKILL');
      runner.kill('SIGKILL');
    });
    await until('both sleep', () =>
      [holder, runner].every(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\x0050\0')),
    );
    const { removed, problem } = await prune(path, { limitMB: 0 });
    expect(filesIn(path)).toEqual(['sub/1', 'sub/program']);
    expect(removed).toBe(3);
    expect(problem).toBe('not enough could be removed; files that stay: 2 open');
    holder.kill('SIGKILL');
    await until('the holder is gone', () => holder.signalCode);
    await prune(path, { limitMB: 0 });
    expect(filesIn(path)).toEqual(['sub/program']);
  });

  it('[FOLDER-5] that have a second name stay: no space would come free, and the other name may be anywhere', async () => {
    const [path, outside] = [fourFiles(), newFolder()];
    linkSync(join(path, 'sub/1'), join(outside, 'same'));
    const { removed } = await prune(path);
    expect(removed).toBe(2);
    expect(filesIn(path)).toEqual(['4', 'sub/1']);
    expect(filesIn(outside)).toEqual(['same']);
  });

  it('[FOLDER-5] that are changed after they were found stay', async () => {
    const path = fourFiles();
    const { enter } = PinnedFolder.prototype;
    let entered = 0;
    vi.spyOn(PinnedFolder.prototype, 'enter').mockImplementation(function (this: PinnedFolder, name) {
      entered += 1;
      // Two for the walk; then the first is about to be removed.
      if (entered === 3) appendFileSync(join(path, 'sub/1'), 'new');
      return enter.call(this, name);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    await prune(path);
    expect(filesIn(path)).toEqual(['4', 'sub/1']);
  });
});

describe('a prune never removes', () => {
  /** Lets `act` run after the last look at the first file, before its name is removed. */
  function afterLastLook(act: () => void): void {
    const { statusOf } = PinnedFolder.prototype;
    let looks = 0;
    const spy = vi.spyOn(PinnedFolder.prototype, 'statusOf').mockImplementation(async function (
      this: PinnedFolder,
      name,
    ) {
      const status = await statusOf.call(this, name);
      looks += 1;
      // Four for the walk.
      if (looks === 5) act();
      return status;
    });
    onTestFinished(() => spy.mockRestore());
  }

  it('[FOLDER-5] what a program saves under the name of an old file, right before that is removed', async () => {
    const [path, elsewhere] = [fourFiles(), newFolder()];
    writeFileSync(join(elsewhere, 'new'), 'saved');
    afterLastLook(() => renameSync(join(elsewhere, 'new'), join(path, 'sub/1')));
    const { problem } = await prune(path, { limitMB: 0 });
    expect(readFileSync(join(path, 'sub/1'), 'utf8')).toBe('saved');
    expect(problem).toMatch(/1 changed or moved meanwhile/);
  });

  it('[FOLDER-5] what is written to an old file right before that', async () => {
    const path = fourFiles();
    afterLastLook(() => appendFileSync(join(path, 'sub/1'), 'new'));
    await prune(path, { limitMB: 0 });
    expect(filesIn(path)).toEqual(['sub/1']);
  });

  it('[FOLDER-6] a file whose folder is moved out right before that', async () => {
    const [path, elsewhere] = [fourFiles(), newFolder()];
    const { where } = PinnedFolder.prototype;
    let asked = 0;
    vi.spyOn(PinnedFolder.prototype, 'where').mockImplementation(async function (this: PinnedFolder) {
      const place = await where.call(this);
      asked += 1;
      // The first is for the root.
      if (asked === 2) renameSync(join(path, 'sub'), join(elsewhere, 'sub'));
      return place;
    });
    onTestFinished(() => void vi.restoreAllMocks());
    await prune(path, { limitMB: 0 });
    expect(filesIn(elsewhere)).toEqual(['sub/1', 'sub/deeper/3']);
  });

  it('[FOLDER-2] a large file in the thread of the host: its space is given back when it is closed', async () => {
    const path = newFolder();
    writeFileSync(join(path, 'large'), Buffer.alloc(17 * 1_048_576, 1));
    const hold = vi.spyOn(PinnedFolder.prototype, 'hold');
    onTestFinished(() => void vi.restoreAllMocks());
    expect(await prune(path, { limitMB: 0 })).toMatchObject({ removed: 1, files: 0, problem: undefined });
    expect(hold).toHaveBeenCalledTimes(1);
    expect((await hold.mock.results[0]?.value)?.fd).toBe(-1);
    expect(filesIn(path)).toEqual([]);
  });
});

describe('a prune never leaves the folder', () => {
  it('[FOLDER-6] by a link that is in it', async () => {
    const [path, outside] = [fourFiles(), victim()];
    symlinkSync(outside, join(path, 'sub/link'));
    symlinkSync(join(outside, '1'), join(path, 'file'));
    const report = await prune(path, { limitMB: 0 });
    expect(report).toMatchObject({ removed: 4, problem: undefined });
    expect(filesIn(outside)).toEqual(['1', '2', 'deeper/3']);
    expect(filesIn(path)).toEqual(['file', 'sub/link']);
  });

  it('[FOLDER-6] by a folder in it that is exchanged for a link, right before a file is removed', async () => {
    const [path, outside] = [fourFiles(), victim()];
    onEnter(3, () => {
      renameSync(join(path, 'sub'), join(path, 'was-sub'));
      symlinkSync(outside, join(path, 'sub'));
    });
    await prune(path, { limitMB: 0 });
    expect(filesIn(outside)).toEqual(['1', '2', 'deeper/3']);
    expect(filesIn(join(path, 'was-sub'))).toEqual(['1', 'deeper/3']);
  });

  it('[FOLDER-6] by a folder in it that is moved out after it was entered', async () => {
    const [path, elsewhere] = [fourFiles(), newFolder()];
    const { statusOf } = PinnedFolder.prototype;
    let looks = 0;
    vi.spyOn(PinnedFolder.prototype, 'statusOf').mockImplementation(async function (this: PinnedFolder, name) {
      looks += 1;
      // Four for the walk; then `sub` is open, and `sub/1` is looked at for the last time.
      if (looks === 5) renameSync(join(path, 'sub'), join(elsewhere, 'sub'));
      return statusOf.call(this, name);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    await prune(path, { limitMB: 0 });
    expect(filesIn(elsewhere)).toEqual(['sub/1', 'sub/deeper/3']);
    expect(filesIn(path)).toEqual([]);
  });

  it.each([
    ['before', 1, /^nothing is removed: it was moved or replaced meanwhile$/],
    ['during', 3, /4 changed or moved meanwhile$/],
  ])('[FOLDER-6] by being exchanged itself, %s the prune', async (_, count, why) => {
    const [path, outside] = [fourFiles(), victim()];
    onTestFinished(() => rmSync(`${path}-moved`, { recursive: true }));
    onEnter(count, () => {
      renameSync(path, `${path}-moved`);
      symlinkSync(outside, path);
    });
    const { removed, problem } = await prune(path, { limitMB: 0 });
    expect(removed).toBe(0);
    expect(problem).toMatch(why);
    expect(filesIn(outside)).toEqual(['1', '2', 'deeper/3']);
    expect(filesIn(`${path}-moved`)).toHaveLength(4);
  });

  it('[FOLDER-6] while a program exchanges its folders all the time', async () => {
    const [path, outside] = [newFolder(), victim()];
    const exchange = `
      const { renameSync: move, symlinkSync: link, unlinkSync: remove } = require('node:fs');
      const end = Date.now() + 60_000;
      link(${JSON.stringify(outside)}, 'link');
      for (console.log('begun'); Date.now() < end; ) {
        try { move('sub', 'real'); move('link', 'sub'); move('sub', 'link'); move('real', 'sub'); } catch {}
      }`;
    mkdirSync(join(path, 'sub'));
    // By this descriptor files are made in the folder, whatever its name is just now.
    const place = openSync(join(path, 'sub'), constants.O_RDONLY | constants.O_DIRECTORY);
    const child = spawn(process.execPath, ['-e', exchange], { cwd: path, stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => {
      closeSync(place);
      child.kill('SIGKILL');
      child.stdout.destroy();
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    let removed = 0;
    for (let round = 0; round < 15; round++) {
      for (const name of ['1', '2', 'deeper/3']) newFile(`/proc/self/fd/${place}`, name, 9);
      removed += (await prune(path, { limitMB: 0 })).removed;
      expect(filesIn(outside)).toEqual(['1', '2', 'deeper/3']);
    }
    child.kill('SIGKILL');
    await until('it is gone', () => child.signalCode);
    expect(removed).toBeGreaterThan(0);
  });

  it.runIf(NO_NAMESPACES === undefined)(
    '[FOLDER-6] into what is mounted in it, be it of the same disk (needs root)',
    () => {
      const [path, outside] = [fourFiles(), victim()];
      mkdirSync(join(path, 'mounted'));
      const script = `
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      const options = { path: ${JSON.stringify(path)}, limitMB: 0, onExceeded: 'prune-oldest' };
      const timer = setInterval(() => {}, 1_000);
      const report = await new FolderBudget(options, { date: () => Date.now() + 3_600_000 }).look();
      clearInterval(timer);
      console.log(JSON.stringify(report));`;
      const mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
      const { stdout, stderr } = spawnSync(
        'unshare',
        ['--mount', 'sh', '-c', mount, 'sh', outside, join(path, 'mounted'), process.execPath, ...hostArgs(script)],
        { cwd: ROOT, encoding: 'utf8' },
      );
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toMatchObject({ removed: 4, files: 0 });
      expect(filesIn(outside)).toEqual(['1', '2', 'deeper/3']);
    },
  );
});

function onEnter(count: number, act: () => void): void {
  const { enter } = PinnedFolder.prototype;
  let entered = 0;
  const spy = vi.spyOn(PinnedFolder.prototype, 'enter').mockImplementation(function (this: PinnedFolder, name) {
    entered += 1;
    if (entered === count) act();
    return enter.call(this, name);
  });
  onTestFinished(() => spy.mockRestore());
}

/** Folders that others can change, and what is said of them. */
const UNSAFE: Readonly<Record<string, [make: () => string, problem: RegExp]>> = {
  'of another user': [() => fourFiles(newFolder(0o700, MALLORY)), /belongs to another user/],
  'open to a group': [() => fourFiles(newFolder(0o770)), /others can write to it/],
  'open to all': [() => fourFiles(newFolder(0o777)), /others can write to it/],
  'open to all, and sticky': [() => fourFiles(newFolder(0o1777)), /others can write to it/],
  'in a folder that is open to all': [() => inside(newFolder(0o777)), /another user can replace it/],
  'in a folder of another user': [() => inside(newFolder(0o755, MALLORY)), /another user can replace it/],
  'in a folder in a folder of another user': [
    () => inside(inside(newFolder(0o755, MALLORY))),
    /another user can replace/,
  ],
};

function inside(parent: string): string {
  const path = join(parent, 'own');
  mkdirSync(path, { mode: 0o700 });
  return fourFiles(path);
}

describe.runIf(OBSTACLE === undefined)('other users (need root)', () => {
  it.each(Object.entries(UNSAFE))('[FOLDER-7] nothing is removed from a folder %s', async (_, [make, why]) => {
    const path = make();
    const before = filesIn(path);
    const { exceeded, removed, problem } = await prune(path, { limitMB: 0 });
    expect({ exceeded, removed }).toEqual({ exceeded: true, removed: 0 });
    expect(problem).toMatch(/^nothing is removed: /);
    expect(problem).toMatch(why);
    expect(filesIn(path)).toEqual(before);
    // It is measured all the same.
    const { files } = await new FolderBudget({ path, limitMB: 0, onExceeded: 'report' }).look();
    expect(files).toBe(before.length);
  });

  it('[FOLDER-7] a sticky folder above it is none that others can change', async () => {
    expect(await prune(inside(newFolder(0o1777)), { limitMB: 0 })).toMatchObject({ removed: 4, problem: undefined });
  });

  it('[FOLDER-7] their files in it stay, and what is in folders that they can change', async () => {
    const path = fourFiles();
    chownSync(join(path, '2'), MALLORY, MALLORY);
    chownSync(join(path, 'sub'), MALLORY, MALLORY);
    newFile(path, 'open/5', 99);
    chmodSync(join(path, 'open'), 0o777);
    const { removed, problem } = await prune(path, { limitMB: 0 });
    expect(removed).toBe(1);
    expect(problem).toBe(
      'not enough could be removed; files that stay: 4 of other users, or in folders that others can change',
    );
    expect(filesIn(path)).toEqual(['2', 'open/5', 'sub/1', 'sub/deeper/3']);
  });

  it('[FOLDER-7] a user without privileges prunes its own folder, and sees what its processes have open', async () => {
    const path = join(newFolder(0o755, MALLORY), 'cache');
    mkdirSync(path);
    fourFiles(path);
    spawnSync('chown', ['-R', `${MALLORY}:${MALLORY}`, path]);
    const { stdout, stderr } = await runHost(`
      const { spawn } = await import('node:child_process');
      const { openSync } = await import('node:fs');
      process.setgroups([]); process.setgid(${MALLORY}); process.setuid(${MALLORY});
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      const path = ${JSON.stringify(path)};
      const held = openSync(path + '/2', 'r');
      const options = { path, limitMB: 0, onExceeded: 'prune-oldest' };
      const timer = setInterval(() => {}, 1_000);
      const { removed, problem } = await new FolderBudget(options, { date: () => Date.now() + 3_600_000 }).look();
      clearInterval(timer);
      console.log(JSON.stringify({ removed, problem }));
    `);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      removed: 3,
      problem: 'not enough could be removed; files that stay: 1 open',
    });
    expect(filesIn(path)).toEqual(['2']);
  });

  it('[FOLDER-7] a folder that a group may write is refused, be it the private group of this user: it may be the mask of an access control list', async () => {
    const shared = (name: string, parent = newFolder(0o755, MALLORY)) => {
      const path = join(parent, name);
      mkdirSync(path);
      fourFiles(path);
      return path;
    };
    const [own, above, below] = [shared('own'), shared('above'), shared('below')];
    for (const path of [own, above, below]) spawnSync('chown', ['-R', `${MALLORY}:${MALLORY}`, path]);
    chmodSync(own, 0o770);
    chmodSync(join(above, '..'), 0o775);
    chmodSync(join(below, 'sub'), 0o770);
    const { stdout, stderr } = await runHost(`
      process.setgroups([]); process.setgid(${MALLORY}); process.setuid(${MALLORY});
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      const timer = setInterval(() => {}, 1_000);
      const problems = [];
      for (const path of ${JSON.stringify([own, above, below])}) {
        const options = { path, limitMB: 0, onExceeded: 'prune-oldest' };
        problems.push((await new FolderBudget(options, { date: () => Date.now() + 3_600_000 }).look()).problem);
      }
      clearInterval(timer);
      console.log(JSON.stringify(problems));
    `);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([
      'nothing is removed: others can write to it (chmod go-w)',
      expect.stringMatching(/^nothing is removed: another user can replace it, because .* is open to others/),
      'not enough could be removed; files that stay: 2 of other users, or in folders that others can change',
    ]);
    expect(filesIn(below)).toEqual(['sub/1', 'sub/deeper/3']);
  });
});

describe('the home of the user, or a folder around it, is not pruned', () => {
  const refused = { removed: 0, problem: 'nothing is removed: the home of this user is in it' };

  function newHome(): string {
    const home = join(newFolder(), 'home');
    fourFiles(home);
    return home;
  }

  it('[FOLDER-7] by the name of the environment', async () => {
    const home = newHome();
    vi.stubEnv('HOME', home);
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const path of [home, join(home, '..')]) {
      expect(await prune(path, { limitMB: 0 })).toMatchObject(refused);
    }
    expect(await prune(join(home, 'sub'), { limitMB: 0 })).toMatchObject({ removed: 2 });
  });

  it('[FOLDER-7] when a link leads to it', async () => {
    const [home, links] = [newHome(), newFolder()];
    symlinkSync(home, join(links, 'home'));
    symlinkSync(join(home, '..'), join(links, 'homes'));
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const name of [join(links, 'home'), join(links, 'homes/home')]) {
      vi.stubEnv('HOME', name);
      for (const path of [home, join(home, '..')]) {
        expect(await prune(path, { limitMB: 0 })).toMatchObject(refused);
      }
      expect(await prune(join(home, 'sub'), { limitMB: 0, dryRun: true })).toMatchObject({ removed: 2 });
    }
  });

  it('[FOLDER-7] when it has another path in the list of users than in the environment', async () => {
    vi.stubEnv('HOME', newFolder());
    onTestFinished(() => void vi.unstubAllEnvs());
    const { homedir } = userInfo();
    const { path } = (await findHomes()).find((one) => one.path === realpathSync(homedir)) ?? {};
    expect(path).toBeDefined();
  });

  it.runIf(NO_NAMESPACES === undefined)('[FOLDER-7] when it is mounted elsewhere (needs root)', () => {
    const [home, mounted] = [newHome(), newFolder()];
    const script = `
      const { FolderBudget } = await import(SRC + '/monitor/host/folder-budget.js');
      const timer = setInterval(() => {}, 1_000);
      for (const path of ${JSON.stringify([home, join(home, '..')])}) {
        const options = { path, limitMB: 0, onExceeded: 'prune-oldest' };
        const { problem } = await new FolderBudget(options, { date: () => Date.now() + 3_600_000 }).look();
        console.log(problem);
      }
      clearInterval(timer);`;
    const mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', 'sh', '-c', mount, 'sh', home, mounted, process.execPath, ...hostArgs(script)],
      { cwd: ROOT, encoding: 'utf8', env: { ...process.env, HOME: mounted } },
    );
    expect(stderr).toBe('');
    expect(stdout).toBe(`${refused.problem}\n`.repeat(2));
    expect(filesIn(home)).toHaveLength(4);
  });
});
