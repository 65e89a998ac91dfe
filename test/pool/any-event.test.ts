import { describe, expect, it } from 'vitest';
import { type AnyPoolEvent, type MCPServerPool, POOL_EVENTS, type PoolEvents } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

const a = { command: 'fake' };

/** How many listeners each event has. */
const listeners = (pool: MCPServerPool) => POOL_EVENTS.map((event) => pool.listenerCount(event));

describe('onAny()', () => {
  it('[EVENT-10] calls the listener with each event and its payload, in order, until it is removed', async () => {
    const { pool } = setUp({ servers: { a } });
    const before = listeners(pool);
    const heard: AnyPoolEvent[] = [];
    const remove = pool.onAny((...event) => heard.push(event));
    const lease = await pool.getServer('a', { owner: 'o' });
    expect(heard.map(([event]) => event)).toEqual([
      'server:starting',
      'queue:waiting',
      'server:ready',
      'queue:served',
      'lease:acquired',
    ]);
    expect(heard.at(-1)).toEqual(['lease:acquired', expect.objectContaining({ leaseId: lease.id, owner: 'o' })]);
    remove();
    lease.release();
    expect(heard).toHaveLength(5);
    remove();
    expect(listeners(pool)).toEqual(before);
  });

  it('[EVENT-10] the name says which payload it is, also to the compiler', async () => {
    const { pool } = setUp({ servers: { a } });
    const ready: number[] = [];
    pool.onAny((event, payload) => {
      if (event === 'server:ready') ready.push(payload.duration);
    });
    await pool.getServer('a');
    expect(ready).toEqual([expect.any(Number)]);
  });

  it('[EVENT-10] the same function, added twice, is called twice, and removed one by one', async () => {
    const { pool } = setUp({ servers: { a } });
    let calls = 0;
    const count = (event: string) => {
      if (event === 'lease:acquired') calls += 1;
    };
    const removals = [pool.onAny(count), pool.onAny(count)];
    for (const expected of [2, 3, 3]) {
      (await pool.getServer('a')).release();
      expect(calls).toBe(expected);
      removals.pop()?.();
    }
  });

  it('[EVENT-10] [EVENT-1] what it throws or rejects with is reported once for each event, and breaks nothing', async () => {
    const { pool } = setUp({ servers: { a } });
    const errors: PoolEvents['listener:error'][] = [];
    pool.on('listener:error', (error) => errors.push(error));
    const calls: string[] = [];
    pool.onAny((event) => {
      calls.push(event);
      throw new Error(`thrown at ${event}`);
    });
    const remove = pool.onAny(async (event) => {
      if (event === 'lease:acquired') throw new Error('rejected');
    });
    (await pool.getServer('a')).release();
    await flush();
    // Those of `listener:error` itself are dropped: they would go on for ever.
    const others = calls.filter((event) => event !== 'listener:error');
    expect(others).toContain('lease:released');
    expect(errors.filter(({ error }) => String(error).includes('thrown'))).toHaveLength(others.length);
    expect(errors.filter(({ error }) => String(error).includes('rejected'))).toMatchObject([
      { event: 'lease:acquired' },
    ]);
    remove();
  });

  it('[EVENT-10] one that removes itself, or adds another, while it is called breaks nothing', async () => {
    const { pool } = setUp({ servers: { a } });
    const later: string[] = [];
    const remove = pool.onAny(() => {
      remove();
      pool.onAny((event) => later.push(event));
    });
    (await pool.getServer('a')).release();
    expect(later).toEqual(['queue:waiting', 'server:ready', 'queue:served', 'lease:acquired', 'lease:released']);
  });

  it.each([undefined, null, 'server:ready', {}])('[EVENT-10] [FUZZ-1] refuses what is no function: %s', (wrong) => {
    const { pool } = setUp({ servers: { a } });
    const before = listeners(pool);
    expect(() => pool.onAny(wrong as never)).toThrow(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    expect(listeners(pool)).toEqual(before);
  });
});

describe('POOL_EVENTS', () => {
  it('[EVENT-10] has each name once, and cannot be changed', () => {
    expect(new Set(POOL_EVENTS).size).toBe(POOL_EVENTS.length);
    expect(POOL_EVENTS).toContain('cleanup:finished');
    expect(POOL_EVENTS).toContain('level:changed');
    expect(() => (POOL_EVENTS as string[]).push('x')).toThrow(TypeError);
  });
});
