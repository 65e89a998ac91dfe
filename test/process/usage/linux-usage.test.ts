import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { linuxUsage } from '../../../src/process/usage/linux-usage.js';
import { pageSizeIn } from '../../../src/process/usage/memory-files.js';
import type { ProcessUsage } from '../../../src/process/usage/process-usage.js';
import { readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const source = linuxUsage(linuxProcessTable);

function start(script: string) {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

function readerOf() {
  const reader = source.reader();
  onTestFinished(() => reader.close());
  return (rows: readonly ProcessRow[]) => reader.read(rows) as readonly ProcessUsage[];
}

const rowOf = (pid: number | undefined) => linuxProcessTable.read(pid as number) as ProcessRow;
const openFiles = () => readdirSync('/proc/self/fd').length;

describe('linuxUsage', () => {
  it('[USAGE-1] reads memory, CPU time and threads as the kernel shows them', () => {
    const read = readerOf();
    const [usage] = read([rowOf(process.pid)]);
    const status = readFileSync('/proc/self/status', 'utf8');
    const kB = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1_024;
    const cpu = process.cpuUsage();
    expect(Math.abs((usage?.unique ?? 0) / kB('RssAnon') - 1)).toBeLessThan(0.2);
    expect(Math.abs((usage?.resident ?? 0) / kB('VmRSS') - 1)).toBeLessThan(0.2);
    expect(usage?.cpu).toBeLessThanOrEqual((cpu.user + cpu.system) / 1_000 + 20);
    expect(usage?.cpu).toBeGreaterThan(0);
    expect(Math.abs((usage?.age ?? 0) - process.uptime() * 1_000)).toBeLessThan(60_000);
  });

  it('[USAGE-5] leaves out what has ended since the look, also a zombie that was collected', async () => {
    const child = start('read line');
    const living = rowOf(child.pid);
    const read = readerOf();
    expect(read([living])).toHaveLength(1);
    const exited = once(child, 'exit');
    child.stdin?.end();
    await exited;
    expect(read([living])).toEqual([]);
    expect(read([{ ...living, dead: true }])).toEqual([]);
  });

  it('[USAGE-2] reads a zombie as one that has used CPU time and holds no memory', async () => {
    const child = start('true & exec sleep 1000');
    const zombie = await until('there is a zombie', () =>
      [...linuxProcessTable.scan().values()].find(({ parent, dead }) => dead && parent === child.pid),
    );
    expect(readProcess(zombie.pid)?.zombie).toBe(true);
    expect(readerOf()([zombie])).toMatchObject([{ pid: zombie.pid, isZombie: true, resident: 0, unique: 0 }]);
  });

  it('[USAGE-10] keeps one file open for each process that it measures, and closes those of others', () => {
    const [one, other] = [rowOf(start('exec sleep 1000').pid), rowOf(start('exec sleep 1000').pid)];
    const reader = source.reader();
    const before = openFiles();
    void reader.read([one, other]);
    void reader.read([one, other]);
    expect(openFiles() - before).toBe(2);
    void reader.read([other]);
    expect(openFiles() - before).toBe(1);
    reader.close();
    expect(openFiles() - before).toBe(0);
  });

  it('[USAGE-9] says that another user may not read them, or that the process is gone', async () => {
    expect(await source.detail?.({ pid: 4_194_304, startTime: 1 })).toBeUndefined();
    const { startTime } = rowOf(process.pid);
    const detail = await source.detail?.({ pid: process.pid, startTime });
    expect(detail).toMatchObject({ descriptors: expect.any(Number), pss: expect.any(Number) });
  });
});

describe('pageSizeIn', () => {
  it('[USAGE-1] finds the size of a page among what the kernel tells a program', () => {
    const pairs = (...numbers: bigint[]) => Buffer.from(new BigUint64Array(numbers).buffer);
    expect(pageSizeIn(pairs(16n, 99n, 6n, 65_536n, 0n, 0n), true)).toBe(65_536);
    expect(pageSizeIn(Buffer.from(new Uint32Array([16, 6, 6, 16_384, 0, 0]).buffer), false)).toBe(16_384);
    expect(pageSizeIn(pairs(16n, 6n, 0n, 0n), true)).toBe(4_096);
    expect([4_096, 16_384, 65_536]).toContain(pageSizeIn(readFileSync('/proc/self/auxv')));
  });
});
