import { describe, expect, it, onTestFinished } from 'vitest';
import { linux } from '../../../src/process/platforms/linux.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import type { ProcessTable } from '../../../src/process/process-table.js';
import { localLauncher } from '../../../src/process/start/local-launcher.js';
import type { UsageSource } from '../../../src/process/usage/process-usage.js';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { QUICK, watchCosts } from '../../helpers/costly.js';
import { fixture } from '../../helpers/fixture.js';
import { runHost } from '../../helpers/host.js';
import { MARKER } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';

/** Reading of processes that fails while the test says so. */
class Unreadable {
  error: Error | undefined;

  table(): ProcessTable {
    const checked = <A extends unknown[], R>(read: (...args: A) => R) => {
      return (...args: A): R => {
        if (this.error) throw this.error;
        return read(...args);
      };
    };
    const { read, hold, scan, pids, newest, ...rest } = linuxProcessTable as Required<ProcessTable>;
    return { ...rest, newest, read: checked(read), hold: checked(hold), scan: checked(scan), pids: checked(pids) };
  }

  usage(): UsageSource {
    const source = linux.usage as UsageSource;
    return {
      ...source,
      reader: () => {
        const reader = source.reader();
        return {
          read: (members) => {
            if (this.error) throw this.error;
            return reader.read(members);
          },
          close: () => reader.close(),
        };
      },
    };
  }
}

const CASES = {
  'EACCES of the memory of a process': ['EACCES: permission denied', (one: Unreadable) => ({ usage: one.usage() })],
  'EMFILE of the memory of a process': ['EMFILE: too many open files', (one: Unreadable) => ({ usage: one.usage() })],
  'a /proc that is not there': [
    'ENOENT: no such file or directory, scandir /proc',
    (one: Unreadable) => ({ table: one.table() }),
  ],
} as const;

describe('a monitor that cannot measure real servers', () => {
  it.each(Object.keys(CASES) as (keyof typeof CASES)[])(
    '[HEAL-7] because of %s says so once, and leases go on',
    async (what) => {
      const [message, changed] = CASES[what];
      const unreadable = new Unreadable();
      const launcher = localLauncher({ ...linux, ...changed(unreadable) });
      const one = { ...fixture('costly'), sharing: 'shared', memoryLimitMB: 80 } as const;
      const pool = open({ a: one, b: one }, { monitoring: QUICK }, undefined, launcher);
      // Before the shutdown, which has to see that all processes are dead.
      onTestFinished(() => {
        unreadable.error = undefined;
      });
      const { degraded, exceeded, actions, levels } = watchCosts(pool);
      const callers = [await Caller.of(pool, 'a'), await Caller.of(pool, 'b')];
      const samples = async (count: number) => {
        for (let sample = 0; sample < count; sample++) await pool.monitor.sample();
      };
      for (const outage of [1, 2]) {
        await samples(3);
        unreadable.error = new Error(message);
        await samples(10);
        // Callers come and go meanwhile.
        (await pool.getServer('a')).release();
        for (const caller of callers) await expectUntouched(caller);
        expect(degraded).toHaveLength(outage);
        expect(degraded.at(-1)).toMatchObject({ part: 'trees', reason: message });
        // The last figures stay.
        expect(pool.monitor.latest?.trees.map(({ name, memoryMB }) => [name, memoryMB > 1])).toEqual([
          ['a', true],
          ['b', true],
        ]);
        unreadable.error = undefined;
      }
      await samples(3);
      expect([exceeded, actions, levels]).toEqual([[], [], []]);
    },
  );

  it('[HEAL-7] because its host has no descriptor left says so once, and leases go on', async () => {
    const { stdout, stderr } = await runHost(
      `
      const { MCPServerPool } = await import(SRC + '/index.js');
      const { closeSync, openSync } = await import('node:fs');
      const one = { command: process.execPath, args: [FIXTURES + '/costly.js'], inheritEnv: ['${MARKER}'], sharing: 'shared' };
      const pool = new MCPServerPool({ servers: { a: one, b: one }, monitoring: { interval: 100, hostMemoryPercent: 100 } });
      const degraded = [];
      const others = [];
      pool.on('monitor:degraded', ({ part }) => degraded.push(part));
      for (const event of ['internal:error', 'listener:error', 'server:exited', 'server:stopping', 'action:taken', 'level:changed', 'limit:exceeded'])
        pool.on(event, (payload) => others.push([event, String(payload.error ?? payload.action)]));
      const connect = async (name) => {
        const lease = await pool.getServer(name);
        const waiting = new Map();
        let id = 0;
        lease.transport.onmessage = (message) => waiting.get(message.id)?.(message);
        await lease.transport.start();
        const request = (method, params) => new Promise((resolve, reject) => {
          waiting.set(++id, resolve);
          lease.transport.send({ jsonrpc: '2.0', id, method, params }).catch(reject);
        });
        const clientInfo = { name: 'test', version: '1' };
        await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
        await lease.transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
        const echo = async (text) => {
          const { result } = await request('tools/call', { name: 'echo', arguments: { text } });
          return result?.content[0].text === text;
        };
        return { lease, echo };
      };
      const sessions = [await connect('a'), await connect('b')];
      const pids = sessions.map(({ lease }) => lease.pid);
      const taken = [];
      const takeAll = () => {
        try {
          for (;;) taken.push(openSync('/dev/null', 'r'));
        } catch {}
      };
      const outages = [];
      let answers = 0;
      for (let outage = 0; outage < 2; outage++) {
        for (let sample = 0; sample < 3; sample++) await pool.monitor.sample();
        const before = degraded.length;
        const holding = setInterval(takeAll, 1);
        for (let round = 0; round < 200 && (round < 20 || degraded.length === before); round++) {
          takeAll();
          await pool.monitor.sample().catch(() => {});
          for (const { echo } of sessions) if (await echo('round ' + round)) answers += 1;
          (await pool.getServer('a')).release();
        }
        clearInterval(holding);
        for (const descriptor of taken.splice(0)) closeSync(descriptor);
        outages.push(degraded.slice(before));
      }
      await pool.monitor.sample();
      const same = sessions.every(({ lease }, index) => lease.pid === pids[index]);
      const { trees } = pool.monitor.latest;
      const before = [...others];
      const { survivors } = await pool.shutdown({ mode: 'emergency' });
      console.log(JSON.stringify({ outages, answers, same, trees: trees.length, others: [...before, ...survivors] }));
      process.exit();
      `,
      // Node reads all modules of the package at once.
      { before: 'ulimit -n 600', timeout: 60_000 },
    );
    expect(stderr).toBe('');
    const { outages, answers, same, trees, others } = JSON.parse(stdout) as {
      outages: string[][];
      answers: number;
      same: boolean;
      trees: number;
      others: unknown[];
    };
    expect([answers >= 80, same, trees]).toEqual([true, true, 2]);
    // One event for each time that it lasts.
    expect(outages).toEqual([['trees'], ['trees']]);
    expect(others).toEqual([]);
  });
});
