import { expect, it } from 'vitest';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import { LinuxInspector } from '../../../src/process/strays/inspector.js';

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
