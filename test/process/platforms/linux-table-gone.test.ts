import { expect, it, onTestFinished, vi } from 'vitest';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';

/** Errors of the next attempts to open the file of a process, which is a real one. */
const errors = vi.hoisted(() => new Map<string, NodeJS.ErrnoException[]>());

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  return {
    ...fs,
    openSync: (path: string, ...rest: ['r']) => {
      const error = errors.get(path)?.shift();
      if (error) throw error;
      return fs.openSync(path, ...rest);
    },
  };
});

function failNext(pid: number, ...codes: string[]): void {
  errors.set(
    `/proc/${pid}/stat`,
    codes.map((code) => Object.assign(new Error(code), { code })),
  );
}

it('[PROOF-2] takes a process that is collected while it is opened for gone, and is no error', () => {
  failNext(process.ppid, 'ESRCH', 'ESRCH', 'ESRCH');
  expect(linuxProcessTable.read(process.ppid)).toBeUndefined();
  expect(linuxProcessTable.hold?.(process.ppid)).toBeUndefined();
  const rows = linuxProcessTable.scan();
  expect([rows.has(process.ppid), rows.has(process.pid)]).toEqual([false, true]);
});

it.each(['read', 'hold'] as const)(
  '[REUSE-3] [REUSE-10] distinguishes what gets the number later, if its lack was seen without a descriptor, by %s',
  async (how) => {
    // One that has never been short of descriptors: else it keeps fewer processes open for some time.
    vi.resetModules();
    const { linuxProcessTable: table } = await import('../../../src/process/platforms/linux-table.js');
    const { ppid } = process;
    const first = table.hold?.(ppid);
    if (first === undefined) throw new Error('it was not held');
    onTestFinished(() => table.release?.(first));
    // The host has none left, and gets back the one that keeps the process open.
    failNext(process.pid, 'EMFILE');
    expect(table.read(process.pid)?.pid).toBe(process.pid);
    // It may run now, and not then.
    const { pid, startTime } = first;
    expect(table.read(ppid)).toMatchObject({ pid, startTime });
    failNext(ppid, 'ENOENT');
    expect(table[how]?.(ppid)).toBeUndefined();
    const second = table.read(ppid);
    expect(second?.startTime).not.toBe(first.startTime);
    expect(Math.floor(second?.startTime ?? 0)).toBe(first.startTime);
  },
);
