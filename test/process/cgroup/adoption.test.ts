import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Adoption } from '../../../src/process/cgroup/adoption.js';
import { FakeTable } from '../../helpers/fake-table.js';

it.each([
  ['in its own tick', 7, true],
  ['before it began, so that its number was that of another then', 6, false],
])(
  '[REUSE-3] of a leader whose number was that of another in its tick, takes in a child that was started %s',
  async (_when, startTime, taken) => {
    const child = spawn('sleep', ['100'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    // An ordinary folder: what is written into this file is not moved.
    const folder = mkdtempSync(join(tmpdir(), 'adoption-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const procs = join(folder, 'cgroup.procs');
    writeFileSync(procs, '');
    const table = new FakeTable();
    const leader = table.add({ pid: process.pid, startTime: 7 + 1 / 1024 });
    const { pid } = table.add({ pid: child.pid as number, parent: leader.pid, startTime });
    const adoption = new Adoption({ folder, leader, table, hasExited: () => false, isMarked: () => false });
    expect(await adoption.run()).toBe(true);
    expect(readFileSync(procs, 'utf8')).toBe(taken ? `${leader.pid}${pid}` : `${leader.pid}`);
  },
);
