import { describe, expect, it } from 'vitest';
import type { ServerDefinition } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { flush } from '../../helpers/until.js';

const MINUTE = 60_000;
const LEAKS = { command: 'fake', restartOnMemoryLeak: true, memoryLimitMB: 4_000 } as const;

/** A pool with one server that leaks 60 MB an hour, each of its processes. */
function setUpLeaking(definition: Partial<ServerDefinition>) {
  const measured = setUpMeasured({ servers: { a: { ...LEAKS, ...definition } }, monitoring: { interval: MINUTE } });
  const { clock, launcher, of, server } = measured;
  const births: number[] = [];
  const minutes = async (count: number) => {
    for (let minute = 0; minute < count; minute++) {
      for (const [index] of launcher.servers.entries()) {
        births[index] ??= clock.now();
        server(index).load = { memoryMB: 100 + (clock.now() - births[index]) / MINUTE };
      }
      clock.advance(MINUTE);
      await flush();
    }
  };
  const confirmed = async () => {
    for (let minute = 0; minute < 600 && of('leak:confirmed').length === 0; minute++) await minutes(1);
  };
  const reasons = () => of('server:stopping').map(({ reason }) => reason);
  return { ...measured, minutes, confirmed, reasons };
}

describe('a server that leaks', () => {
  it('[ENFORCE-8] is told, and with restartOnMemoryLeak it is replaced under its leases, in half of the time that there is', async () => {
    const { pool, minutes, confirmed, reasons, of } = setUpLeaking({ sharing: 'shared' });
    const { transport } = await pool.getServer('a');
    const client = await RawClient.connect(transport);
    await confirmed();
    expect(of('leak:suspected')).toHaveLength(1);
    expect(of('leak:confirmed')[0]).toMatchObject({ name: 'a', slopeMBPerHour: expect.closeTo(60, -1) });
    await minutes(14);
    expect(reasons()).toEqual([]);
    await minutes(2);
    await flush(20);
    expect(await client.request('echo', {})).toBeDefined();
    expect(reasons()).toEqual(['memory-leak']);
  });

  it('[ENFORCE-13] and cannot be replaced serves on, and is tried again after growing pauses', async () => {
    const { pool, minutes, confirmed, launcher, of } = setUpLeaking({ sharing: 'shared' });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    await confirmed();
    launcher.onLaunch = () => {
      throw new Error('no more processes');
    };
    const times: number[] = [];
    for (let minute = 0; minute < 300; minute += 1) {
      await minutes(1);
      if (of('action:taken').length > times.length) times.push(minute);
    }
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(times.length).toBeGreaterThan(2);
    expect(times.length).toBeLessThan(8);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    expect((await pool.getServer('a')).name).toBe('a');
    expect(await client.request('echo', {})).toBeDefined();
    expect(of('server:stopping')).toEqual([]);
  });

  it('[ENFORCE-8] and is shared is replaced while it has the fewest sessions', async () => {
    const { pool, minutes, confirmed, reasons } = setUpLeaking({ sharing: 'shared' });
    const leases = [await pool.getServer('a'), await pool.getServer('a')];
    await confirmed();
    await minutes(10);
    leases.push(await pool.getServer('a'));
    await minutes(10);
    expect(reasons()).toEqual([]);
    leases.pop()?.release();
    await minutes(1);
    await flush(20);
    expect(reasons()).toEqual(['memory-leak']);
  });

  it.each(['shared', 'exclusive'] as const)(
    '[ENFORCE-8] and is %s is ended in a moment without a lease',
    async (sharing) => {
      const { pool, minutes, confirmed, reasons, launcher } = setUpLeaking({ sharing, idleTimeout: 600 * MINUTE });
      const lease = await pool.getServer('a');
      await confirmed();
      await minutes(5);
      expect(reasons()).toEqual([]);
      lease.release();
      await minutes(1);
      expect(reasons()).toEqual(['memory-leak']);
      expect(launcher.servers).toHaveLength(1);
    },
  );

  it('[ENFORCE-8] and is exclusive with a lease that does not end serves no other one after the time that there is', async () => {
    const { pool, minutes, confirmed, reasons, server } = setUpLeaking({ sharing: 'exclusive' });
    const lease = await pool.getServer('a');
    await confirmed();
    await minutes(40);
    expect(reasons()).toEqual([]);
    expect(server(0).alive).toBe(true);
    lease.release();
    await flush(20);
    expect(reasons()).toEqual(['memory-leak']);
  });

  it('[ENFORCE-8] is replaced before it reaches its limit, whatever leases it has', async () => {
    // It is confirmed at 295 MB, a minute before 90 % of the limit.
    const { pool, minutes, confirmed, reasons, of } = setUpLeaking({ sharing: 'shared', memoryLimitMB: 329 });
    const leases = [await pool.getServer('a')];
    await confirmed();
    leases.push(await pool.getServer('a'));
    await minutes(3);
    await flush(20);
    expect(reasons()).toEqual(['memory-leak']);
    expect(of('limit:exceeded')).toEqual([]);
  });
});
