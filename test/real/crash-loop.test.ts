import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { MCPServerPool, PooledServer, ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { JumpingClock } from '../helpers/clock.js';
import { fixture } from '../helpers/fixture.js';
import { connect, kill, temporaryPath, watchProcesses } from '../helpers/load.js';
import { descendants } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { outcome, until } from '../helpers/until.js';

describe('a server that crashes again and again', () => {
  const restart = { maxRestarts: 3, minDelay: 1, maxDelay: 20, cooldown: 30_000 };

  /** A crash-looping server that shares, and the events that report it. */
  function crashing(...args: string[]) {
    const file = temporaryPath('broken');
    writeFileSync(file, '');
    const definition: ServerDefinition = { ...fixture('crash-loop', `--while=${file}`, ...args), sharing: 'shared' };
    const clock = new JumpingClock();
    const pool = open({ loops: { ...definition, restart, maxInstances: 3 } }, {}, clock);
    const starting = record(pool, 'server:starting');
    const opened = record(pool, 'breaker:opened');
    const halfOpened = record(pool, 'breaker:half-opened');
    const closed = record(pool, 'breaker:closed');
    return {
      pool,
      starting,
      opened,
      halfOpened,
      closed,
      /** The breaker has been open for long enough. */
      coolDown: () => clock.jump(restart.cooldown),
      repair: () => rmSync(file),
      break: () => writeFileSync(file, ''),
    };
  }

  /** Calls in a row while the breaker is open: refused, without a wait or a start. */
  async function expectRefusals(pool: MCPServerPool, starting: readonly unknown[]): Promise<void> {
    const before = starting.length;
    for (let call = 0; call < 5; call++) {
      const refused = pool.getServer('loops');
      expect(await outcome(refused)).toBe('rejected');
      const error = await fails(refused);
      expect(error.code).toBe('BREAKER_OPEN');
      expect(error.data).toMatchObject({ name: 'loops', exitCode: 7, signal: null });
      expect(error.data.stderrTail).toContain('the vault cannot be opened');
    }
    expect(starting.length).toBe(before);
  }

  it('[REAL-5] soon after each start: bounded starts in one slot, its leases end, callers are refused at once', async () => {
    const { pool, starting, opened, halfOpened, closed, coolDown, repair } = crashing('--ms=50');
    const restarting = record(pool, 'server:restarting');
    const processes = watchProcesses();
    const sessions = await Promise.all(Array.from({ length: 10 }, () => connect(pool)));
    const held = sessions.map(({ client }) => client.request('tools/call', { name: 'no such tool' }));
    await Promise.all(sessions.map(({ client }) => client.closed));
    for (const { client } of sessions) {
      expect(client.closeCount).toBe(1);
      expect(client.errors).toMatchObject([{ code: 'BREAKER_OPEN' }]);
      expect((client.errors[0] as PoolError).data.stderrTail).toContain('the vault cannot be opened');
      expect(await fails(client.transport.send({ jsonrpc: '2.0', method: 'x' }))).toMatchObject({
        code: 'BREAKER_OPEN',
      });
    }
    expect((await Promise.allSettled(held)).length).toBe(10);
    // One start, then as many restarts as the policy allows.
    expect(starting.length).toBe(1 + restart.maxRestarts);
    expect(restarting.length).toBe(restart.maxRestarts);
    expect(opened).toMatchObject([{ name: 'loops', cooldown: restart.cooldown }]);
    expect(processes.most).toBe(1);
    await expectRefusals(pool, starting);
    await until('the slot is free', () => pool.status().processes === 0);
    expect(pool.metrics()).toMatchObject({ mostProcesses: 1, released: 10 });
    expect(pool.status().leases).toBe(0);

    repair();
    coolDown();
    const back = await pool.getServer('loops');
    expect(starting.length).toBe(2 + restart.maxRestarts);
    expect([halfOpened.length, closed.length]).toEqual([1, 1]);
    const client = await RawClient.connect(back.transport);
    expect(await client.callTool('echo', { text: 'it works again' })).toBe('it works again');
  });

  it('[REAL-5] before it is ready: the same; exactly one probe after the cooldown', async () => {
    const { pool, starting, opened, halfOpened, closed, coolDown, repair } = crashing('--at-once');
    const processes = watchProcesses();
    // Callers that come one after the other: each start that fails is reported to one of them.
    const codes: string[] = [];
    for (let call = 0; call < 8; call++) codes.push((await fails(pool.getServer('loops'))).code);
    expect(starting.length).toBe(1 + restart.maxRestarts);
    expect(codes.slice(restart.maxRestarts + 1).every((code) => code === 'BREAKER_OPEN')).toBe(true);
    expect(opened.length).toBe(1);
    await expectRefusals(pool, starting);

    const tryAll = async (count: number) =>
      (await Promise.allSettled(Array.from({ length: count }, () => pool.getServer('loops')))).map((result) =>
        result.status === 'fulfilled' ? result.value : (result.reason as PoolError),
      );
    // As soon as it has cooled down, the first of ten that come at once is the probe; it fails.
    const before = starting.length;
    coolDown();
    await tryAll(10);
    expect(halfOpened.length).toBe(1);
    expect(starting.length).toBe(before + 1);
    expect(closed).toEqual([]);
    expect(opened.length).toBe(2);
    await expectRefusals(pool, starting);

    repair();
    coolDown();
    const leases = (await tryAll(10)).filter((result): result is PooledServer => 'transport' in result);
    expect(closed.length).toBe(1);
    expect(starting.length).toBe(before + 2);
    expect(halfOpened.length).toBe(2);
    expect(leases.length).toBeGreaterThan(0);
    expect((await pool.getServer('loops')).pid).toBe(leases[0]?.pid);
    expect(processes.most).toBe(1);
    await until('what failed is gone', () => descendants().length === 1);
  });

  it('[REAL-5] ten callers at once on one that cannot be started get an error each, from bounded starts', async () => {
    const { pool, starting } = crashing('--at-once');
    const errors = await Promise.all(Array.from({ length: 10 }, () => fails(pool.getServer('loops'))));
    expect(errors.every(({ code }) => code === 'SERVER_EXITED' || code === 'BREAKER_OPEN')).toBe(true);
    expect(starting.length).toBeLessThanOrEqual(1 + restart.maxRestarts);
    await until('the slots are free', () => pool.status().processes === 0);
  });

  it('[REAL-5] a crash loop that is repaired in time is survived by its leases', async () => {
    const { pool, opened, repair, break: breakIt } = crashing('--at-once');
    repair();
    const { lease, client } = await connect(pool);
    const starting = record(pool, 'server:starting');
    breakIt();
    pool.on('server:failed', () => {
      if (starting.length === 2) repair();
    });
    kill(lease.pid);
    const listed = client.request('tools/list');
    expect(await listed).toMatchObject({ tools: expect.any(Array) });
    expect(client.closeCount).toBe(0);
    expect(starting.length).toBe(3);
    expect(opened).toEqual([]);
    expect(pool.metrics()).toMatchObject({ restarts: 1, startFailures: 2 });
  });

  it('[REAL-5] a definition that was put right serves its leases at once, whatever the old one had to wait for', async () => {
    const file = temporaryPath('broken');
    const definition = { ...fixture('crash-loop', `--while=${file}`, '--at-once'), sharing: 'shared' as const };
    const slow = { maxRestarts: 100, minDelay: 86_400_000, maxDelay: 86_400_000 };
    const pool = open({ loops: { ...definition, restart: slow } });
    const restarting = record(pool, 'server:restarting');
    const starting = record(pool, 'server:starting');
    const { lease, client } = await connect(pool);
    writeFileSync(file, '');
    kill(lease.pid);
    // It is started again at once after the first failure, but waits after the second: up to a day, at random.
    await until('it waits', () => restarting.some(({ delay }) => delay > 20_000));
    const before = starting.length;
    const updated = pool.updateServer('loops', { ...fixture('echo'), sharing: 'shared', restart: slow });
    updated.catch(() => {});
    let answer: unknown;
    const call = client.callTool('echo', { text: 'back' }).then((text) => {
      answer = text;
    });
    call.catch(() => {});
    await until('it serves', () => answer !== undefined);
    expect(answer).toBe('back');
    expect(starting.length).toBe(before + 1);
    await updated;
  });

  it('[REAL-5] one tenant does not open the breaker of another', async () => {
    const { pool, repair, starting } = crashing('--at-once');
    for (let call = 0; call < 5; call++) await fails(pool.getServer('loops', { tenant: 'alice' }));
    expect((await fails(pool.getServer('loops', { tenant: 'alice' }))).code).toBe('BREAKER_OPEN');
    const before = starting.length;
    repair();
    expect((await pool.getServer('loops', { tenant: 'bob' })).tenant).toBe('bob');
    expect(starting.length).toBe(before + 1);
  });
});
