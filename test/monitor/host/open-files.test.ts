import { spawn, spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { FolderBudget } from '../../../src/monitor/host/folder-budget.js';
import * as openFiles from '../../../src/monitor/host/open-files.js';
import { PinnedFolder } from '../../../src/monitor/host/pinned-folder.js';
import { Slices } from '../../../src/monitor/host/slices.js';
import { systemClock } from '../../../src/runtime/clock.js';
import { ManualClock } from '../../helpers/clock.js';
import { newFolder } from '../../helpers/folders.js';
import { until } from '../../helpers/until.js';

/** How often it was looked for open files, and whether that fails. */
const search = vi.hoisted(() => ({ count: 0, fails: false }));

vi.mock('../../../src/monitor/host/open-files.js', async (load) => {
  const real = await load<typeof openFiles>();
  const findOpen: typeof real.findOpen = async (...args) => {
    search.count += 1;
    return search.fails ? undefined : real.findOpen(...args);
  };
  return { findOpen };
});

beforeEach(() => {
  Object.assign(search, { count: 0, fails: false });
});

const NO_LIMIT = { steps: Number.POSITIVE_INFINITY, time: 60_000 };

/** A look by which no file is young. */
const later = () => Date.now() + 3_600_000;

function filled(files: number): string {
  const path = newFolder();
  for (let index = 0; index < files; index++) writeFileSync(join(path, String(index)), 'x');
  return path;
}

/** What /proc shows: a process with two open files, and one that has mapped one. */
function fakeProc(): string {
  const proc = newFolder();
  for (const pid of ['7', '8', 'self']) {
    for (const name of ['fd', 'fdinfo']) mkdirSync(join(proc, pid, name), { recursive: true });
    writeFileSync(join(proc, pid, 'maps'), '');
  }
  symlinkSync('/data/by-path', join(proc, '7/fd/3'));
  writeFileSync(join(proc, '7/fdinfo/3'), 'pos:\t0\nino:\t30\n');
  symlinkSync('/elsewhere/by-inode (deleted)', join(proc, '7/fd/4'));
  writeFileSync(join(proc, '7/fdinfo/4'), 'pos:\t0\nino:\t40\n');
  symlinkSync('socket:[5]', join(proc, '7/fd/5'));
  const line = '7f0000000000-7f0000001000 r--p 00000000 08:01 50                /data/mapped one';
  writeFileSync(join(proc, '8/maps'), `${line}\n7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0  [stack]\n`);
  return proc;
}

it('[FOLDER-5] a file is open by its path or its inode, by a descriptor or a mapping', async () => {
  const files = [
    ['/data/by-path', '1'],
    ['/data/other', '40'],
    ['/data/mapped one', '2'],
    ['/data/mapped elsewhere', '50'],
    ['/data/closed', '3'],
  ].map(([path = '', inode = '']) => ({ path, inode }));
  const open = await openFiles.findOpen(files, new Slices(new ManualClock(), NO_LIMIT), fakeProc());
  expect(files.map((file) => open?.has(file))).toEqual([true, true, true, true, false]);
});

it('[FOLDER-5] without a process in /proc it is not known what is open', async () => {
  const files = [{ path: '/a', inode: '1' }];
  expect(await openFiles.findOpen(files, new Slices(new ManualClock(), NO_LIMIT), newFolder())).toBeUndefined();
});

it('[FOLDER-5] a file that is open by a path which is too long to be shown is open by its inode', async () => {
  const script = `
    const { chdir } = process, { fstatSync, mkdirSync, openSync } = require('node:fs');
    for (let depth = 0; depth < 20; depth++) {
      mkdirSync('d'.repeat(250));
      chdir('d'.repeat(250));
    }
    console.log(String(fstatSync(openSync('file', 'w'), { bigint: true }).ino));
    process.stdin.resume();`;
  const folder = newFolder();
  const child = spawn(process.execPath, ['-e', script], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    for (const stream of [child.stdin, child.stdout]) stream.destroy();
    await until('it is gone', () => child.signalCode);
    // rmSync() cannot remove it: the path is too long for it, too.
    spawnSync('rm', ['-rf', folder]);
  });
  const inode = String(await new Promise((resolve) => child.stdout.once('data', resolve))).trim();
  const file = { path: '/data/elsewhere', inode };
  const open = await openFiles.findOpen([file], new Slices(systemClock, NO_LIMIT));
  expect(open?.has(file)).toBe(true);
});

it.each(['fd', 'fdinfo/3', 'maps'])(
  '[FOLDER-5] nor when %s of a process cannot be read although it is there, as without free descriptors',
  async (name) => {
    const proc = fakeProc();
    rmSync(join(proc, '7', name), { recursive: true });
    if (name === 'fd') writeFileSync(join(proc, '7', name), '');
    else mkdirSync(join(proc, '7', name));
    const files = [{ path: '/a', inode: '1' }];
    const slices = () => new Slices(new ManualClock(), NO_LIMIT);
    expect(await openFiles.findOpen(files, slices(), proc)).toBeUndefined();
    rmSync(join(proc, '7', name), { recursive: true });
    expect(await openFiles.findOpen(files, slices(), proc)).toBeDefined();
  },
);

it('[FOLDER-10] a process whose mappings cannot be read, since it hangs in the kernel, blocks no host and one thread', async () => {
  const proc = newFolder();
  const maps = join(proc, '9/maps');
  mkdirSync(join(proc, '9/fd'), { recursive: true });
  // A pipe without a writer: to open it does not end.
  expect(spawnSync('mkfifo', [maps]).status).toBe(0);
  onTestFinished(() => closeSync(openSync(maps, constants.O_RDWR)));
  const clock = new ManualClock();
  const find = () => openFiles.findOpen([{ path: '/a', inode: '1' }], new Slices(clock, NO_LIMIT), proc);
  for (let look = 0; look < 6; look++) {
    const found = find();
    await until('it reads', () => clock.pending === 1);
    clock.advance(10_000);
    expect(await found).toBeUndefined();
  }
  // Four threads read files: with one for each look none would be left.
  expect((await new FolderBudget({ path: proc, limitMB: 1, onExceeded: 'report' }).look()).problem).toBeUndefined();
});

it('[FOLDER-10] one search does for all files that are removed within 5 s', async () => {
  const path = filled(1_200);
  const clock = new ManualClock();
  const one = new FolderBudget({ path, limitMB: 0.01, onExceeded: 'prune-oldest' }, { clock, date: later });
  const { removed } = await one.look();
  expect(removed).toBeGreaterThan(1_100);
  expect(search.count).toBe(1);
});

it('[FOLDER-10] after that it is searched again', async () => {
  const path = filled(20);
  const clock = new ManualClock();
  const one = new FolderBudget({ path, limitMB: 0.01, onExceeded: 'prune-oldest' }, { clock, date: later });
  const { removeSame } = PinnedFolder.prototype;
  vi.spyOn(PinnedFolder.prototype, 'removeSame').mockImplementation(function (this: PinnedFolder, ...args) {
    clock.advance(2_000);
    return removeSame.apply(this, args);
  });
  onTestFinished(() => void vi.restoreAllMocks());
  expect((await one.look()).removed).toBe(18);
  expect(search.count).toBe(6);
});

it('[FOLDER-10] the number of steps of a look does not limit the search: a machine may have many descriptors', async () => {
  const path = filled(20);
  const limits = { steps: 25, time: 60_000 };
  const one = new FolderBudget({ path, limitMB: 0.01, onExceeded: 'prune-oldest' }, { limits, date: later });
  expect(await one.look()).toMatchObject({ removed: 18, problem: undefined });
});

it('[FOLDER-10] a search that fails is told, and not repeated for ten minutes', async () => {
  const path = filled(20);
  const clock = new ManualClock();
  const one = new FolderBudget({ path, limitMB: 0.01, onExceeded: 'prune-oldest' }, { clock, date: later });
  search.fails = true;
  const problem = 'nothing is removed for 10 minutes: it could not be found out which files are open';
  for (let minute = 0; minute < 10; minute++) {
    expect(await one.look()).toMatchObject({ exceeded: true, removed: 0, problem });
    clock.advance(60_000);
  }
  expect(search.count).toBe(1);
  search.fails = false;
  expect(await one.look()).toMatchObject({ removed: 18, problem: undefined });
});
