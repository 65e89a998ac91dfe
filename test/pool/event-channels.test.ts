import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type EventMessage, POOL_EVENTS, type PoolEvents } from '../../src/index.js';
import { LeaseEvents } from '../../src/pool/leases/lease-events.js';
import { setUp } from '../helpers/fake-pool.js';

const a = { command: 'fake' };

/** What is published on these channels from now on, of whatever pool. */
function subscribed(...events: readonly (keyof PoolEvents)[]) {
  const messages: { event: string; message: EventMessage }[] = [];
  const listener = (message: unknown, name: string | symbol) =>
    void messages.push({ event: String(name).replace('mcp-server-pool:', ''), message: message as EventMessage });
  const names = events.map((event) => `mcp-server-pool:${event}`);
  for (const name of names) subscribe(name, listener);
  const end = () => {
    for (const name of names) unsubscribe(name, listener);
  };
  onTestFinished(end);
  return { messages, end };
}

describe('the channels of a pool', () => {
  it('[EVENT-12] have every event, with the pool that it is of, in order, before its listeners hear it', async () => {
    const { pool } = setUp({ servers: { a } });
    const other = setUp({ servers: { a } });
    const { messages, end } = subscribed(...POOL_EVENTS);
    const before: number[] = [];
    pool.on('lease:acquired', () => before.push(messages.length));
    const lease = await pool.getServer('a', { owner: 'o' });
    expect(messages.map(({ event }) => event)).toEqual([
      'server:starting',
      'queue:waiting',
      'server:ready',
      'queue:served',
      'lease:acquired',
    ]);
    expect(before).toEqual([5]);
    expect(messages.at(-1)?.message.pool).toBe(pool);
    expect(messages.at(-1)?.message.payload).toMatchObject({ leaseId: lease.id, name: 'a', owner: 'o' });
    await other.pool.getServer('a');
    expect(messages.at(-1)?.message.pool).toBe(other.pool);
    end();
    const count = messages.length;
    lease.release();
    expect(messages).toHaveLength(count);
  });

  it('[EVENT-12] have what nothing else listens to: output of servers, and what parts of the pool emit', async () => {
    const { pool, launcher } = setUp({ servers: { a } });
    const { messages } = subscribed('server:stderr', 'cleanup:finished', 'listener:error');
    expect(pool.listenerCount('server:stderr')).toBe(0);
    await pool.getServer('a');
    launcher.last.complain('a line');
    pool.once('pool:draining', () => {
      throw new Error('boom');
    });
    await pool.shutdown();
    expect(messages).toMatchObject([
      { event: 'server:stderr', message: { payload: { line: 'a line' } } },
      { event: 'listener:error', message: { payload: { event: 'pool:draining' } } },
      { event: 'cleanup:finished', message: { payload: { name: 'a', confirmed: true } } },
    ]);
  });

  it('[EVENT-12] a subscriber is no listener, and no payload is made for a channel without one', async () => {
    const { pool } = setUp({ servers: { a } });
    const emitted: string[] = [];
    const events = new LeaseEvents(
      { emit: (event: string) => void emitted.push(event), listenerCount: () => 0 } as never,
      { acquired: 0, released: 0 } as never,
    );
    const lease = { id: 'lease-1', name: 'a' } as never;
    const { end } = subscribed('lease:acquired');
    expect(POOL_EVENTS.filter((event) => pool.listenerCount(event) > 0)).not.toContain('lease:acquired');
    events.acquired(lease, 0);
    events.released(lease, 0);
    expect(emitted).toEqual(['lease:acquired']);
    end();
    events.acquired(lease, 0);
    expect(emitted).toHaveLength(1);
  });
});
