import { describe, expect, it } from 'vitest';
import { partsOf } from '../../src/pool/parts-of.js';
import { codeOf, setUp, shared } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const exclusive = { command: 'fake', sharing: 'exclusive' } as const;
const SHORTAGE = { memoryMB: 4_100.4, limitMB: 4_096 };
const OVERLOAD = { level: 'critical', measured: 31, threshold: 30, by: 'processes' } as const;

/** Sets the gate as the monitor does: as an operation. */
function setGate(pool: Parameters<typeof partsOf>[0], gate: Partial<ReturnType<typeof gateOf>>): void {
  partsOf(pool).scheduler.run(() => Object.assign(gateOf(pool), gate));
}

const gateOf = (pool: Parameters<typeof partsOf>[0]) => partsOf(pool).fleet.gate;

describe('while memory is short', () => {
  it('[GATE-1] a caller that needs a start waits, is told the limit, and is served when it is over', async () => {
    const { pool, launcher, emitted } = setUp({ servers: { a: exclusive, b: exclusive } });
    await pool.getServer('a', { owner: 'x' });
    setGate(pool, { shortage: SHORTAGE });
    const waiting = pool.getServer('b');
    await flush();
    expect(launcher.living).toHaveLength(1);
    expect(emitted).toContainEqual({
      event: 'limit:reached',
      payload: { name: 'b', limit: 'memory', value: 4_096 },
    });
    setGate(pool, { shortage: undefined });
    await waiting;
    expect(launcher.living).toHaveLength(2);
  });

  it('[GATE-1] what runs is leased as before, and a shared server takes more sessions', async () => {
    const { pool, launcher } = setUp({ servers: { a: exclusive, s: shared } });
    (await pool.getServer('a')).release();
    await pool.getServer('s');
    setGate(pool, { shortage: SHORTAGE });
    await pool.getServer('a');
    await pool.getServer('s');
    expect(launcher.living).toHaveLength(2);
  });

  it('[GATE-1] a call whose time is over gets an error that says the limit, the figure, and what to do', async () => {
    const { pool, clock } = setUp({ servers: { a: exclusive }, acquireTimeout: 1_000 });
    setGate(pool, { shortage: SHORTAGE });
    const error = rejection(pool.getServer('a'));
    await flush();
    await clock.advance(1_000);
    expect(await error).toMatchObject({
      code: 'ACQUIRE_TIMEOUT',
      message: expect.stringMatching(/4100 MB of the 4096 MB .*limits\.memoryLimitMB.*release servers sooner/),
    });
  });

  it('[GATE-5] the error says so where idle trees of essential servers keep a part of it', async () => {
    const essential = { ...exclusive, priority: 'essential', maxInstances: 2 } as const;
    const { pool, clock } = setUp({ servers: { e: essential, a: exclusive }, acquireTimeout: 1_000 });
    const leases = await Promise.all(['x', 'y'].map((owner) => pool.getServer('e', { owner })));
    setGate(pool, { shortage: SHORTAGE });
    const messages: unknown[] = [];
    for (const lease of [undefined, ...leases]) {
      lease?.release();
      const error = rejection(pool.getServer('a')) as Promise<Error>;
      await flush();
      await clock.advance(1_000);
      messages.push((await error).message.match(/\(limits\.memoryLimitMB\)(.*), so none was started/)?.[1]);
    }
    expect(messages).toEqual([
      '',
      ", of which 1 idle tree of servers with priority 'essential' keeps its part",
      ", of which 2 idle trees of servers with priority 'essential' keep their part",
    ]);
  });

  it('[GATE-1] starts no spare instance, for minIdle or warm(), until it is over', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...exclusive, minIdle: 1 }, b: exclusive } });
    await flush();
    setGate(pool, { shortage: SHORTAGE });
    await pool.getServer('a');
    expect(await pool.warm('b')).toBe(0);
    expect(launcher.living).toHaveLength(1);
    setGate(pool, { shortage: undefined });
    await flush();
    expect(launcher.living).toHaveLength(2);
  });

  it('[GATE-1] a server that crashed is restarted for its leases', async () => {
    const { pool, launcher, clock } = setUp({ servers: { s: shared } });
    await pool.getServer('s');
    setGate(pool, { shortage: SHORTAGE });
    launcher.living[0]?.exit({ exitCode: 1 });
    await flush();
    await clock.advance(1_000);
    expect(launcher.living).toHaveLength(1);
  });
});

describe('while the pool is overloaded', () => {
  it('[GATE-2] a call that needs a start is refused at once, with the level and the figure', async () => {
    const { pool, launcher } = setUp({ servers: { a: exclusive } });
    setGate(pool, { overload: OVERLOAD });
    const error = await rejection(pool.getServer('a'));
    expect(error).toMatchObject({
      code: 'OVERLOADED',
      data: { name: 'a', level: 'critical', value: 31, limit: 30 },
      message: expect.stringMatching(/getServer\('a'\).*'critical'.*31 processes more than expected/),
    });
    expect(launcher.living).toHaveLength(0);
    setGate(pool, { overload: undefined });
    await pool.getServer('a');
  });

  it('[GATE-2] while the level only cools down, the error says so', async () => {
    const { pool } = setUp({ servers: { a: exclusive } });
    setGate(pool, { overload: { ...OVERLOAD, measured: 0, cooldownLeft: 11_400 } });
    const { message } = (await rejection(pool.getServer('a'))) as Error;
    expect(message).toMatch(
      /is still at level 'critical', now 0 processes more than expected \(this level begins at 30\); nothing is started until it was lower for monitoring\.levels\.cooldown, of which 12 s are left$/,
    );
  });

  it('[GATE-2] refuses also those that would take the slot of an idle instance, and those that waited already', async () => {
    const { pool } = setUp({
      servers: { a: { ...exclusive, maxInstances: 1 }, b: exclusive },
      limits: { maxProcesses: 1 },
    });
    const held = await pool.getServer('a', { owner: 'x' });
    const waiting = codeOf(pool.getServer('b'));
    await flush();
    setGate(pool, { overload: OVERLOAD });
    held.release();
    expect(await waiting).toBe('OVERLOADED');
    expect(await codeOf(pool.getServer('b'))).toBe('OVERLOADED');
    expect((await pool.getServer('a', { owner: 'x' })).name).toBe('a');
  });

  it('[GATE-2] a call that waits for a release, and needs no start, waits on', async () => {
    const { pool } = setUp({ servers: { a: { ...exclusive, maxInstances: 1 } } });
    const held = await pool.getServer('a');
    setGate(pool, { overload: OVERLOAD });
    const waiting = pool.getServer('a');
    await flush();
    held.release();
    expect((await waiting).instanceId).toBe(held.instanceId);
  });
});
