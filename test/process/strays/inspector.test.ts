import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import { LinuxInspector } from '../../../src/process/strays/inspector.js';
import { CAN_HIDE, holding, OUTLIVED, SHARING } from '../../helpers/hidden-memory.js';
import { until } from '../../helpers/until.js';

const self = linuxProcessTable.read(process.pid)!;
const inState = (state: string) => new LinuxInspector(new Map([[self.pid, { ...self, state }]]));

it('[HANG-1] of what is uninterruptible neither the command line nor the environment is read, but its user and memory', () => {
  const hanging = inState('D');
  expect(hanging.commandLine(self.pid)).toBe('');
  expect(hanging.isOurUsers(self.pid)).toBe(true);
  expect(hanging.memory(self.pid)).toBeGreaterThan(0);
  expect(hanging.serviceOf({ ...self, session: self.pid + 1 })).toBeUndefined();
  expect(inState('S').commandLine(self.pid)).not.toBe('');
});

it('[WATCH-12] a process has our user or not by what costs least; what is gone has none', () => {
  const inspector = inState('S');
  expect(inspector.hasOurUser(self.pid)).toBe(true);
  expect(inspector.hasOurUser(2 ** 22 + 1)).toBe(false);
  expect(inspector.isOurUsers(2 ** 22 + 1)).toBe(false);
});

describe.skipIf(!CAN_HIDE)('memory', () => {
  const memoryOf = (pid: number) => new LinuxInspector(new Map([[pid, linuxProcessTable.read(pid)!]])).memory(pid);

  it('[WATCH-14] is that of the monitor: what is shared and no copy of a file counts, and nothing stays open', async () => {
    const pid = await holding(SHARING, 2);
    const open = readdirSync('/proc/self/fd').length;
    expect(memoryOf(pid)).toBeGreaterThan(60);
    expect(memoryOf(pid)).toBeLessThan(110);
    expect(readdirSync('/proc/self/fd')).toHaveLength(open);
  });

  it('[WATCH-14] is that of the monitor: what other threads have counts when the main thread has ended', async () => {
    const pid = await holding(OUTLIVED, 1);
    await until('the main thread has ended', () => linuxProcessTable.read(pid)?.state === 'Z');
    expect(memoryOf(pid)).toBeGreaterThan(60);
  });

  it('[WATCH-14] of what is gone is 0', () => {
    const gone = { ...self, pid: 2 ** 22 + 1 };
    expect(new LinuxInspector(new Map([[gone.pid, gone]])).memory(gone.pid)).toBe(0);
  });
});
