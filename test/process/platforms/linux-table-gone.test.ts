import { expect, it, vi } from 'vitest';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';

/** What the kernel answers when a process is collected while its folder is entered. */
const GONE = Object.assign(new Error('ESRCH: no such process, open'), { code: 'ESRCH' });

vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  return {
    ...fs,
    openSync: (path: string, ...rest: ['r']) => {
      if (path === `/proc/${process.ppid}/stat`) throw GONE;
      return fs.openSync(path, ...rest);
    },
  };
});

it('[PROOF-2] takes a process that is collected while it is opened for gone, and is no error', () => {
  expect(linuxProcessTable.read(process.ppid)).toBeUndefined();
  expect(linuxProcessTable.hold?.(process.ppid)).toBeUndefined();
  const rows = linuxProcessTable.scan();
  expect([rows.has(process.ppid), rows.has(process.pid)]).toEqual([false, true]);
});
