import { errnoOf } from '../../errors.js';
import { findCgroup } from '../cgroup/cgroup-probe.js';
import { procIdentity } from '../guardian/guardian-script.js';
import { readMarks } from '../marks/mark-reader.js';
import type { Platform } from '../platform.js';
import { linuxUsage } from '../usage/linux-usage.js';
import { linuxProcessTable } from './linux-table.js';

export const linux: Platform = {
  table: linuxProcessTable,
  detached: true,
  hasSigterm: true,
  // Short at first, because a killed tree of 50 is dead within 4 ms. A process in an uninterruptible system call dies
  // when that returns, or never.
  pace: { firstPoll: 1, longestPoll: 25, killGrace: 2_000 },
  marks: readMarks,
  identity: procIdentity,
  cgroups: findCgroup,
  usage: linuxUsage(linuxProcessTable),
  signalGroup: (group, signal) => sendSignal(-group, signal),
  signalProcess: sendSignal,
  mayNotSignal,
  hasGroup,
};

/** Sends a signal. A missing target is not an error (ESRCH). */
export function sendSignal(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch (error) {
    // ESRCH: it is dead by now. EPERM: it has changed its user; the report says so.
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error;
  }
}

function hasGroup(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}

function mayNotSignal(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}
