import { describe, expect, it } from 'vitest';
import { setUp } from '../../helpers/fake-pool.js';
import { flush, outcome } from '../../helpers/until.js';

const server = { command: 'fake' };
const shared = { command: 'fake', sharing: 'shared' } as const;

describe('a caller that can be served', () => {
  it('[QUEUE-3] [SHARE-5] gets a seat that comes free, though an older caller of another tenant needs a process', async () => {
    const { pool } = setUp({ servers: { a: { ...shared, maxSessions: 2, maxInstances: 1 } } });
    const held = await Promise.all([pool.getServer('a', { tenant: 't' }), pool.getServer('a', { tenant: 't' })]);
    const older = pool.getServer('a', { tenant: 'u' });
    const younger = pool.getServer('a', { tenant: 't' });
    await flush();
    held[0]?.release();
    expect((await younger).instanceId).toBe(held[1]?.instanceId);
    expect(await outcome(older)).toBe('pending');
    for (const lease of [held[1], await younger]) lease?.release();
    (await older).release();
  });

  it('[QUEUE-3] [SHARE-5] gets a seat that comes free, though an older caller of another server needs a slot', async () => {
    const { pool } = setUp({
      servers: { a: { ...shared, maxSessions: 2 }, b: server },
      limits: { maxProcesses: 1 },
    });
    const held = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    const older = pool.getServer('b');
    const younger = pool.getServer('a');
    await flush();
    held[0]?.release();
    expect((await younger).instanceId).toBe(held[1]?.instanceId);
    expect(await outcome(older)).toBe('pending');
    for (const lease of [held[1], await younger]) lease?.release();
    (await older).release();
  });
});
