import { describe, expect, it } from 'vitest';
import { SessionEnds } from '../../src/exporters/session-ends.js';
import { setUp, shared } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

/** The failure of each lease of a pool that ends from now on. */
function watched(all: ReturnType<typeof setUp>) {
  const ends = new SessionEnds();
  const failures: (string | undefined)[] = [];
  all.pool.on('server:stopping', (event) => ends.stopping(event));
  all.pool.on('lease:reclaimed', (event) => ends.reclaimed(event));
  all.pool.on('lease:moved', (event) => ends.moved(event));
  all.pool.on('lease:released', (event) => failures.push(ends.take(event)));
  return { ...all, failures };
}

describe('the end of a session', () => {
  it('[OTEL-2] has no failure when its host has released it, or asked for its end', async () => {
    const { pool, failures } = watched(setUp({ servers: { a: { command: 'fake' } } }));
    (await pool.getServer('a')).release();
    await pool.getServer('a');
    await pool.shutdown();
    expect(failures).toEqual([undefined, undefined]);
  });

  it('[OTEL-2] says that its server crashed, or that it was taken back', async () => {
    const definition = { command: 'fake', maxInstances: 1, leaseIdleTimeout: 1_000 };
    const { pool, launcher, clock, failures } = watched(setUp({ servers: { a: definition } }));
    await pool.getServer('a');
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(failures).toEqual(['crashed']);
    await pool.getServer('a');
    await clock.advanceAndFlush(1_000);
    const next = pool.getServer('a');
    await clock.advanceAndFlush(1_000);
    (await next).release();
    expect(failures).toEqual(['crashed', 'reclaimed', undefined]);
  });

  it('[OTEL-2] has no failure when it went on with another process', async () => {
    const { pool, launcher, clock, failures } = watched(setUp({ servers: { a: shared } }));
    const lease = await pool.getServer('a');
    launcher.last.exit({ exitCode: 1 });
    await clock.advanceAndFlush(10_000);
    expect(lease.pid).toBe(launcher.last.pid);
    lease.release();
    expect(failures).toEqual([undefined]);
  });
});
