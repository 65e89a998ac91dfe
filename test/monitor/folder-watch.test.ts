import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import type { ResolvedFolderBudget } from '../../src/config/folder-options.js';
import type { MonitorNotice } from '../../src/monitor/finding.js';
import { FolderWatch } from '../../src/monitor/folder-watch.js';
import { FolderBudget } from '../../src/monitor/host/folder-budget.js';
import { ManualClock } from '../helpers/clock.js';
import { setUpMeasured } from '../helpers/measured-pool.js';
import { flush, until } from '../helpers/until.js';

const MB = 1_048_576;
/** In one hour, when no file is young. */
const later = () => Date.now() + 3_600_000;

function folderWith(...sizes: number[]): string {
  const base = mkdtempSync(join(tmpdir(), 'pool-folder-'));
  onTestFinished(() => rmSync(base, { recursive: true, force: true }));
  const path = join(base, 'logs');
  mkdirSync(path, { mode: 0o700 });
  for (const [index, size] of sizes.entries()) {
    const file = join(path, `${index}.log`);
    writeFileSync(file, Buffer.alloc(size * MB, 1));
    utimesSync(file, 1_000 + index, 1_000 + index);
  }
  return path;
}

/** A watch by a clock that stands still. `minute()` is over when the looks of that minute are. */
function watching(
  folders: readonly (Pick<ResolvedFolderBudget, 'path' | 'limitMB'> & Partial<ResolvedFolderBudget>)[],
  { dryRun = false, mayAct = (): boolean => true } = {},
) {
  const clock = new ManualClock();
  const told: MonitorNotice[] = [];
  const resolved = folders.map((folder) => ({ onExceeded: 'report' as const, ...folder }));
  const watch = new FolderWatch(resolved, dryRun, { clock, tell: (one) => told.push(one), mayAct, date: later });
  const look = vi.spyOn(FolderBudget.prototype, 'look');
  onTestFinished(() => {
    watch.stop();
    look.mockRestore();
  });
  watch.start();
  const minute = async () => {
    clock.advance(60_000);
    await until('the folders were looked at', () => clock.nextIn === 60_000);
  };
  return { watch, clock, told, look, minute };
}

/** A look that ends when the test says so. */
function heldLook() {
  let end = (_: Partial<Awaited<ReturnType<FolderBudget['look']>>>) => {};
  const held = new Promise<never>((resolve) => (end = resolve as never));
  return { look: () => held, end: (report: Parameters<typeof end>[0]) => end(report) };
}

it('[FOLDER-8] looks once a minute, and tells once that a folder is over its budget, and that it is no longer', async () => {
  const path = folderWith(2, 2);
  const { told, look, minute } = watching([{ path, limitMB: 3 }]);
  await minute();
  await minute();
  expect(look).toHaveBeenCalledTimes(2);
  expect(told).toEqual([['limit:exceeded', { kind: 'folder', path, value: expect.closeTo(4, 1), limit: 3 }]]);
  rmSync(join(path, '0.log'));
  await minute();
  expect(told.slice(1)).toEqual([['limit:recovered', { kind: 'folder', path, value: expect.closeTo(2, 1), limit: 3 }]]);
});

it('[FOLDER-8] a folder whose budget cannot be kept is told once, and the others are looked at', async () => {
  const path = folderWith(2, 2);
  const file = join(path, '0.log');
  const { told, minute } = watching([file, path].map((one) => ({ path: one, limitMB: 3 })));
  for (let look = 0; look < 3; look++) await minute();
  expect(told.map(([event]) => event)).toEqual(['monitor:degraded', 'limit:exceeded']);
  expect(told[0]?.[1]).toMatchObject({ part: 'folder', reason: expect.stringContaining(file) });
});

it('[FOLDER-8] a folder that is not there is told once, and again when it was there meanwhile', async () => {
  const path = folderWith(2, 2);
  const { told, minute } = watching([{ path, limitMB: 3 }]);
  await minute();
  for (const _ of [1, 2]) {
    renameSync(path, `${path}-away`);
    await minute();
    await minute();
    renameSync(`${path}-away`, path);
    await minute();
  }
  const gone = ['limit:recovered', 'monitor:degraded', 'limit:exceeded'];
  expect(told.map(([event]) => event)).toEqual(['limit:exceeded', ...gone, ...gone]);
  expect(told[2]?.[1]).toMatchObject({ part: 'folder', reason: `${path}: there is no such folder` });
});

it('[FOLDER-8] a folder that cannot be measured for a time has not recovered by that', async () => {
  const path = folderWith(2, 2);
  const { told, minute } = watching([{ path, limitMB: 3 }]);
  await minute();
  renameSync(path, `${path}-away`);
  writeFileSync(path, 'no folder');
  await minute();
  rmSync(path);
  renameSync(`${path}-away`, path);
  await minute();
  expect(told.map(([event]) => event)).toEqual(['limit:exceeded', 'monitor:degraded']);
});

it('[FOLDER-8] tells the size that exceeded the budget, not that after the prune', async () => {
  const path = folderWith(2, 2);
  const { told, minute } = watching([{ path, limitMB: 3, onExceeded: 'prune-oldest' }]);
  await minute();
  expect(readdirSync(path)).toEqual(['1.log']);
  const reason = `folder ${path} had more than 3 MB: 1 of its oldest files, 2 MB`;
  expect(told).toEqual([
    ['limit:exceeded', { kind: 'folder', path, value: expect.closeTo(4, 1), limit: 3 }],
    ['action:taken', { action: 'prune', reason, path, dryRun: false }],
  ]);
  await minute();
  expect(told.slice(2)).toEqual([['limit:recovered', { kind: 'folder', path, value: expect.closeTo(2, 1), limit: 3 }]]);
});

it('[FOLDER-8] tells the call of a function of the host, each time', async () => {
  const path = folderWith(2, 2);
  const onExceeded = vi.fn();
  const { told, minute } = watching([{ path, limitMB: 3, onExceeded }]);
  await minute();
  await minute();
  expect(onExceeded).toHaveBeenCalledTimes(2);
  const reason = `folder ${path} had more than 3 MB: 4 MB`;
  const call = ['action:taken', { action: 'call-host', reason, path, dryRun: false }];
  expect(told.filter(([event]) => event === 'action:taken')).toEqual([call, call]);
});

it.each(['prune-oldest', () => {}] as const)(
  '[FOLDER-8] with dryRun tells once what would be done: %s',
  async (what) => {
    const path = folderWith(2, 2);
    const onExceeded = typeof what === 'function' ? vi.fn() : what;
    const { told, minute } = watching([{ path, limitMB: 3, onExceeded }], { dryRun: true });
    const actions = () => told.filter(([event]) => event === 'action:taken').map(([, payload]) => payload);
    for (let look = 0; look < 3; look++) await minute();
    const action = onExceeded === 'prune-oldest' ? 'prune' : 'call-host';
    expect(actions()).toEqual([{ action, reason: expect.any(String), path, dryRun: true }]);
    expect(told[0]).toEqual(['limit:exceeded', { kind: 'folder', path, value: expect.closeTo(4, 1), limit: 3 }]);
    expect(readdirSync(path)).toHaveLength(2);
    if (typeof onExceeded === 'function') expect(onExceeded).not.toHaveBeenCalled();
    // It holds again, and then again not: that is told anew.
    const file = join(path, '2.log');
    rmSync(join(path, '0.log'));
    await minute();
    writeFileSync(file, Buffer.alloc(2 * MB, 1));
    await minute();
    expect(actions()).toHaveLength(2);
  },
);

it.each(['prune-oldest', () => {}] as const)(
  '[FOLDER-11] only measures while nothing may be done, also when that changes during a look: %s',
  async (what) => {
    const path = folderWith(2, 2);
    const onExceeded = typeof what === 'function' ? vi.fn() : what;
    const asked: boolean[] = [false, true];
    const { told, minute } = watching([{ path, limitMB: 3, onExceeded }], { mayAct: () => asked.shift() ?? false });
    await minute();
    expect(told.map(([event]) => event)).toEqual(['limit:exceeded']);
    expect(readdirSync(path)).toHaveLength(2);
    if (typeof onExceeded === 'function') expect(onExceeded).not.toHaveBeenCalled();
    await minute();
    expect(told.map(([event]) => event)).toEqual(['limit:exceeded', 'action:taken']);
  },
);

it.each(['prune-oldest', () => {}] as const)(
  '[FOLDER-11] does nothing when its look is ended before it knows all: %s',
  async (what) => {
    const path = folderWith(2, 2);
    const onExceeded = typeof what === 'function' ? vi.fn() : what;
    for (let after = 0, isMeasured = false; !isMeasured; after += 1) {
      const run = new AbortController();
      let readings = 0;
      const now = () => {
        readings += 1;
        if (readings > after) run.abort();
        return 0;
      };
      const clock = { now, after: () => ({ cancel: () => {} }) };
      const mayAct = () => {
        isMeasured = !run.signal.aborted;
        return run.signal.aborted;
      };
      const budget = new FolderBudget({ path, limitMB: 1, onExceeded }, { clock, date: later });
      await budget.look({ signal: run.signal, mayAct });
      expect(after).toBeLessThan(100);
    }
    expect(readdirSync(path)).toHaveLength(2);
    if (typeof onExceeded === 'function') expect(onExceeded).not.toHaveBeenCalled();
  },
);

it.each(['prune-oldest', () => {}] as const)(
  '[FOLDER-11] once a pool is shut down, its monitor only reports, also when the host starts it: %s',
  async (what) => {
    const path = folderWith(2, 2);
    const onExceeded = typeof what === 'function' ? vi.fn() : what;
    // No file in it is young.
    const date = vi.spyOn(Date, 'now').mockReturnValue(later());
    onTestFinished(() => date.mockRestore());
    const { pool, clock, of } = setUpMeasured({
      servers: { a: { command: 'a' } },
      monitoring: { folders: [{ path, limitMB: 3, onExceeded }] },
    });
    const look = vi.spyOn(FolderBudget.prototype, 'look');
    onTestFinished(() => look.mockRestore());
    await pool.shutdown();
    const told = vi.fn();
    pool.monitor.on('limit:exceeded', told);
    pool.monitor.start();
    clock.advance(10_000);
    await look.mock.results[0]?.value;
    await flush();
    pool.monitor.stop();
    expect(told).toHaveBeenCalledTimes(1);
    expect(of('action:taken')).toEqual([]);
    expect(readdirSync(path)).toHaveLength(2);
    if (typeof onExceeded === 'function') expect(onExceeded).not.toHaveBeenCalled();
  },
);

it('[FOLDER-9] a disk that does not answer is told once, and the other folders are looked at', async () => {
  const path = folderWith(2, 2);
  const { clock, told, look, minute } = watching([
    { path: '/dead', limitMB: 3 },
    { path, limitMB: 3 },
  ]);
  const held = heldLook();
  look.mockImplementationOnce(held.look);
  clock.advance(60_000);
  await flush();
  expect(look).toHaveBeenCalledTimes(1);
  clock.advance(150_000);
  await until('the second was looked at', () => told.length === 2);
  expect(told).toEqual([
    [
      'monitor:degraded',
      {
        part: 'folder',
        reason: '/dead: its disk has not answered for 150 s',
        consequence: 'the budget of this folder is not kept',
      },
    ],
    ['limit:exceeded', { kind: 'folder', path, value: expect.closeTo(4, 1), limit: 3 }],
  ]);
  await until('the next looks are due', () => clock.nextIn === 60_000);
  for (let round = 0; round < 3; round++) await minute();
  expect(told).toHaveLength(2);
  // One look of each round is that of the second: no more threads wait for the disk.
  expect(look).toHaveBeenCalledTimes(5);
  held.end({ path: '/dead', limitMB: 3, sizeMB: 0, measuredMB: 0, exceeded: false, removed: 0, problem: undefined });
  await flush();
  await minute();
  expect(look).toHaveBeenCalledTimes(7);
});

it('[FOLDER-9] stop() ends the look, start() begins anew; what an ended look has found is not told', async () => {
  const path = folderWith(2, 2);
  const { watch, clock, told, look, minute } = watching([{ path, limitMB: 3 }]);
  const held = heldLook();
  look.mockImplementationOnce(held.look);
  clock.advance(60_000);
  await flush();
  expect(look.mock.calls[0]?.[0]?.signal?.aborted).toBe(false);
  watch.stop();
  expect(look.mock.calls[0]?.[0]?.signal?.aborted).toBe(true);
  watch.start();
  watch.start();
  // The ended one has not answered yet.
  await minute();
  expect(look).toHaveBeenCalledTimes(1);
  held.end({ path, limitMB: 3, sizeMB: 0, measuredMB: 9, exceeded: true, removed: 0, problem: 'stopped' });
  await flush();
  expect(told).toEqual([]);
  await minute();
  expect(told.map(([event]) => event)).toEqual(['limit:exceeded']);
  watch.stop();
  await flush();
  expect(clock.pending).toBe(0);
});

it('[FOLDER-9] the folders of a pool are watched from its start to its end, with and without servers', async () => {
  const path = folderWith(2, 2);
  const { pool, clock, of } = setUpMeasured({
    servers: { a: { command: 'a' } },
    monitoring: { folders: [{ path, limitMB: 3 }] },
  });
  const look = vi.spyOn(FolderBudget.prototype, 'look');
  onTestFinished(() => look.mockRestore());
  let looks = 0;
  /** The clock stands still while the folder is measured: a look has only so much time. */
  const nextLook = async () => {
    looks += 1;
    for (let passed = 0; look.mock.calls.length < looks && passed < 120_000; passed += 1_000) {
      await clock.advanceAndFlush(1_000);
    }
    expect(look).toHaveBeenCalledTimes(looks);
    await look.mock.results.at(-1)?.value;
    await flush();
  };
  const told = () => ['limit:exceeded', 'limit:recovered'].map((event) => of(event as 'limit:exceeded').length);
  await nextLook();
  expect(told()).toEqual([1, 0]);
  const lease = await pool.getServer('a');
  await lease.release();
  await nextLook();
  await pool.endAll({ mode: 'emergency' });
  rmSync(join(path, '0.log'));
  // No server lives, so its monitor samples no more; the folders are looked at all the same.
  await nextLook();
  await nextLook();
  expect(told()).toEqual([1, 1]);
  pool.monitor.stop();
  writeFileSync(join(path, '2.log'), Buffer.alloc(2 * MB, 1));
  expect(clock.pending).toBe(0);
  pool.monitor.start();
  await nextLook();
  expect(told()).toEqual([2, 1]);
});

it('[LOOP-5] where monitoring is not enabled, a folder that is over its budget is told after start(), and no more', async () => {
  const path = folderWith(2, 2);
  const onExceeded = vi.fn();
  const { pool, clock, of } = setUpMeasured({
    monitoring: {
      enabled: false,
      folders: [
        { path, limitMB: 3, onExceeded: 'prune-oldest' },
        { path, limitMB: 3, onExceeded },
      ],
    },
  });
  expect(clock.pending).toBe(0);
  pool.monitor.start();
  const look = vi.spyOn(FolderBudget.prototype, 'look');
  onTestFinished(() => look.mockRestore());
  for (let passed = 0; passed < 60_000 && look.mock.calls.length === 0; passed += 1_000) {
    await clock.advanceAndFlush(1_000);
  }
  await until('both were looked at', () => of('limit:exceeded').length === 2);
  expect([readdirSync(path), onExceeded.mock.calls, of('action:taken')]).toEqual([['0.log', '1.log'], [], []]);
});
