import { describe, expect, it } from 'vitest';
import type { Priority } from '../../src/config/resource-options.js';
import type { MCPServerPool, ServerDefinition } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { setUp } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { flush, rejection } from '../helpers/until.js';

const server = (priority?: Priority): ServerDefinition => ({ command: 'fake', sharing: 'exclusive', priority });
const servers = { e: server('essential'), n: server(), x: server('expendable') };

/** Leaves an idle instance of each, in this order, for owners of their own. */
async function leaveIdle(pool: MCPServerPool, ...names: readonly string[]): Promise<void> {
  for (const [index, name] of names.entries()) (await pool.getServer(name, { owner: `${index}` })).release();
}

const idle = (pool: MCPServerPool) =>
  Object.entries(pool.status().servers).flatMap(([name, status]) => Array<string>(status.idle).fill(name));

describe('priority', () => {
  it('[PRIORITY-1] decides whose idle tree ends for a caller, before how long it was idle', async () => {
    const { pool } = setUp({ servers: { ...servers, other: server() }, limits: { maxProcesses: 3 } });
    await leaveIdle(pool, 'e', 'n', 'x');
    await pool.getServer('other');
    expect(idle(pool)).toEqual(['e', 'n']);
    await pool.getServer('other', { owner: 'second' });
    expect(idle(pool)).toEqual(['e']);
    assertInsides(partsOf(pool));
  });

  it('[PRIORITY-1] shows in plan(): essential trees are not among those that may end', async () => {
    const { pool } = setUp({ servers });
    await leaveIdle(pool, 'e', 'n', 'x');
    expect(pool.plan('reclaim').ends.map(({ name }) => name)).toEqual(['x', 'n']);
  });

  it('[PRIORITY-2] a caller waits rather than end an essential tree, and its error says why', async () => {
    const { pool, clock } = setUp({ servers, limits: { maxProcesses: 1 }, acquireTimeout: 1_000 });
    await leaveIdle(pool, 'e');
    const error = rejection(pool.getServer('n'));
    await flush();
    await clock.advance(1_000);
    expect(await error).toMatchObject({
      code: 'ACQUIRE_TIMEOUT',
      message: expect.stringContaining("(1 of them by idle trees of servers with priority 'essential')"),
    });
    expect(idle(pool)).toEqual(['e']);
  });

  it('[PRIORITY-2] it is served when the essential tree has been idle for too long, or is essential no more', async () => {
    const { pool, clock } = setUp({
      servers: { ...servers, e: { ...server('essential'), idleTimeout: 500 } },
      limits: { maxProcesses: 1 },
    });
    await leaveIdle(pool, 'e');
    const first = pool.getServer('n');
    await flush();
    await clock.advance(500);
    (await first).release();
    await leaveIdle(pool, 'e');
    const second = pool.getServer('n');
    await flush();
    expect(idle(pool)).toEqual(['e']);
    await pool.updateServer('e', server('normal'));
    await second;
  });

  it('[PRIORITY-2] essential servers make room for each other, also in front of an older caller that must not', async () => {
    const { pool, launcher } = setUp(
      { servers: { ...servers, f: server('essential') }, limits: { maxProcesses: 1 } },
      { end: false },
    );
    await leaveIdle(pool, 'e');
    const served: string[] = [];
    const call = (name: string, owner?: string) =>
      void pool.getServer(name, owner === undefined ? {} : { owner }).then(
        (lease) => {
          served.push(`${name}${owner ?? ''}`);
          lease.release();
        },
        // The callers that are not served wait until the test is over.
        ({ code }) => expect(code).toBe('POOL_CLOSED'),
      );
    call('n');
    await flush();
    expect(launcher.livingOf('e')).toHaveLength(1);
    call('f');
    await flush();
    expect(launcher.livingOf('e')[0]?.ending).toBeDefined();
    // The slot is for the caller that it was made free for, whatever happens meanwhile.
    call('n', 'other');
    await flush();
    launcher.livingOf('e')[0]?.exit();
    await flush();
    expect(served).toEqual(['f']);
    assertInsides(partsOf(pool));
    // The same server, for another owner.
    call('f', 'other');
    await flush();
    launcher.livingOf('f')[0]?.exit();
    await flush();
    expect(served).toEqual(['f', 'fother']);
  });

  it('[PRIORITY-2] a slot that comes free otherwise is for the older caller', async () => {
    const { pool, launcher } = setUp(
      { servers: { ...servers, f: server('essential') }, limits: { maxProcesses: 2 } },
      { end: false },
    );
    await leaveIdle(pool, 'e');
    const held = await pool.getServer('n', { owner: 'held' });
    const normal = pool.getServer('x');
    await flush();
    const essential = pool.getServer('f');
    await flush();
    held.release();
    await flush();
    for (const one of launcher.living) if (one.ending) one.exit();
    await flush();
    await Promise.all([normal, essential]);
    expect(launcher.living.map(({ definition }) => definition.name).sort()).toEqual(['f', 'x']);
  });

  it('[PRIORITY-2] silent leases of an essential server are taken back for essential servers alone', async () => {
    const silent = { ...server('essential'), leaseIdleTimeout: 100 };
    const { pool, clock, emitted } = setUp({
      servers: { ...servers, e: silent, f: server('essential') },
      limits: { maxProcesses: 1 },
    });
    await pool.getServer('e');
    void pool.getServer('n').then((lease) => lease.release());
    await flush();
    await clock.advanceAndFlush(200);
    expect(emitted.some(({ event }) => event === 'lease:reclaimed')).toBe(false);
    const essential = pool.getServer('f');
    await flush();
    await clock.advanceAndFlush(200);
    expect(emitted.some(({ event }) => event === 'lease:reclaimed')).toBe(true);
    (await essential).release();
    await pool.updateServer('f', server('expendable'));
    await flush();
    expect(idle(pool)).toEqual(['n']);
  });
});
