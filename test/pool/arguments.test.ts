import { describe, expect, it, onTestFinished } from 'vitest';
import { CleanupQueue, MCPServerPool, type PoolError, ProcessRegistry } from '../../src/index.js';
import type { TerminationReport } from '../../src/process/termination-report.js';
import { deferred } from '../../src/runtime/deferred.js';
import { setUp } from '../helpers/fake-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { flush, rejection } from '../helpers/until.js';

/** What a host without types may pass where it has lost the value: a session id that was never set. */
const missing = [undefined, null, '', 0, {}] as unknown as undefined[];
const refused = expect.objectContaining({ name: 'PoolError', code: 'INVALID_OPTIONS' });
const sharings = ['shared', 'exclusive', 'dedicated'] as const;

endGlobalPoolAfterEach();

describe.each(sharings)('a label that is missing, with %s leases', (sharing) => {
  const server = { command: 'fake', sharing };

  it.each(missing)('[ARG-1] releases nothing: releaseOwner(%j), releaseTenant(%j)', async (value) => {
    const { launcher, pool } = setUp({ servers: { a: server } });
    const none = await pool.getServer('a');
    const owned = await pool.getServer('a', { owner: 'one' });
    const ofTenant = await pool.getServer('a', { tenant: 't' });
    const before = launcher.living.length;
    expect(() => pool.releaseOwner(value as never)).toThrowError(refused);
    expect(() => pool.releaseTenant(value as never)).toThrowError(refused);
    await flush();
    expect(launcher.living).toHaveLength(before);
    expect([none, owned, ofTenant].map((lease) => lease.release())).toEqual([true, true, true]);
  });

  it.each(missing)(
    '[ARG-1] names no server to be changed: removeServer, updateServer and restart(%j)',
    async (value) => {
      const { launcher, pool } = setUp({ servers: { only: server } });
      const lease = await pool.getServer();
      const name = value as never;
      expect(await rejection(pool.removeServer(name))).toEqual(refused);
      expect(await rejection(pool.updateServer(name, { command: 'other' }))).toEqual(refused);
      expect(await rejection(pool.restart(name))).toEqual(refused);
      await flush();
      expect(launcher.living.map(({ pid }) => pid)).toEqual([lease.pid]);
      expect(pool.status().servers.only).toMatchObject({ defined: true });
      expect(lease.release()).toBe(true);
    },
  );

  it.each(missing)('[ARG-1] is no lease: releaseServer(%j)', async (value) => {
    const { pool } = setUp({ servers: { a: server } });
    const lease = await pool.getServer('a');
    expect(() => pool.releaseServer(value as never)).toThrowError(refused);
    expect(lease.release()).toBe(true);
  });
});

/** As a host writes it that has no session id: `{ owner: session?.id }`. */
const lost = [
  { owner: undefined },
  { tenant: undefined },
  { owner: undefined, tenant: 't' },
  { owner: null },
] as object[];
const policies = [
  ...sharings.map((sharing) => ({ sharing })),
  { sharing: 'shared' as const, reuse: 'owner' as const },
  { reuse: 'tenant' as const },
];

describe.each(policies)('a tenant or an owner that was lost, with %o', (policy) => {
  const server = { command: 'fake', ...policy };

  it.each(lost)('[ARG-2] gets no process of calls that name none: getServer with %o', async (scope) => {
    const { launcher, pool } = setUp({ servers: { a: server } });
    const lease = await pool.getServer('a');
    const { pid } = lease;
    if (policy.sharing !== 'dedicated') lease.release();
    const error = (await rejection(pool.getServer('a', scope))) as PoolError;
    expect(error).toEqual(refused);
    expect(error.message).toContain('the options of getServer()');
    expect(await rejection(pool.getServer('a', { ...scope, reuseLease: true }))).toEqual(refused);
    expect(launcher.living.map((living) => living.pid)).toEqual([pid]);
    expect(pool.status()).toMatchObject({ waiting: 0 });
    if (policy.sharing === 'dedicated') lease.release();
  });

  it.each(lost)('[ARG-2] starts nothing: warm with %o', async (scope) => {
    const { launcher, pool } = setUp({ servers: { a: server } });
    const error = (await rejection(pool.warm('a', scope))) as PoolError;
    expect(error).toEqual(refused);
    expect(error.message).toContain('the options of warm()');
    expect(launcher.servers).toHaveLength(0);
  });

  it('[ARG-2] is no mistake where it is left out, and other options may be undefined', async () => {
    const { pool } = setUp({ servers: { a: server } });
    const rest = { timeout: undefined, signal: undefined, reuseLease: undefined };
    expect((await pool.getServer('a', rest)).owner).toBeUndefined();
    expect((await pool.getServer('a', { ...rest, owner: 'one', tenant: 't' })).owner).toBe('one');
  });
});

describe('an argument that is missing', () => {
  it('[ARG-2] the error says what to do, in the global pool, too', async () => {
    const pool = MCPServerPool.global();
    pool.addServer('a', { command: 'cat' });
    const scope = { owner: undefined, tenant: undefined } as object;
    expect(((await rejection(pool.getServer('a', scope))) as PoolError).data.problems).toEqual([
      'owner must be a string, got undefined; for a call without an owner, leave the key out',
      'tenant must be a string, got undefined; for a call without a tenant, leave the key out',
    ]);
    expect(pool.status()).toMatchObject({ processes: 0 });
  });

  it('[ARG-2] resetBreaker takes the tenant as events name it: undefined is that of calls without one', async () => {
    const { pool } = setUp({ servers: { a: { command: 'fake' } } });
    expect(pool.resetBreaker('a', { tenant: undefined })).toBe(0);
    expect(() => pool.resetBreaker('a', { tenant: null as never })).toThrowError(refused);
    expect(() => pool.resetBreaker('a', { tenant: 't', allTenants: true })).toThrowError(refused);
  });

  it.each(missing)('[ARG-1] ends no server of the drop-in: calls of the global pool with %j', async (value) => {
    const { transport } = new Watched(program('cat'));
    await transport.start();
    const pool = MCPServerPool.global();
    const name = value as never;
    expect(() => pool.releaseOwner(name)).toThrowError(refused);
    expect(() => pool.releaseTenant(name)).toThrowError(refused);
    expect(await rejection(pool.removeServer(name))).toEqual(refused);
    expect(await rejection(pool.restart(name))).toEqual(refused);
    expect(transport.pid).not.toBeNull();
    expect(pool.status()).toMatchObject({ leases: 1, processes: 1 });
  });

  it.each(missing)('[ARG-1] sends no other job of a CleanupQueue to SIGKILL: escalate(%j)', async (value) => {
    const queue = new CleanupQueue();
    const { promise, resolve } = deferred<TerminationReport>();
    let hurried = 0;
    const report = queue.enqueue({
      id: 'a',
      name: 'a',
      end: ({ signal }) => {
        signal?.addEventListener('abort', () => {
          hurried += 1;
        });
        return promise;
      },
    });
    expect(() => queue.escalate(value as never)).toThrowError(refused);
    expect(hurried).toBe(0);
    queue.escalate();
    expect(hurried).toBe(1);
    resolve({ survivors: [] } as never);
    await report;
  });

  it.each(missing)('[ARG-1] joins no other job of a CleanupQueue: the id %j', async (id) => {
    const queue = new CleanupQueue();
    let ends = 0;
    const end = async () => {
      ends += 1;
      return { survivors: [] } as never;
    };
    expect(await rejection(queue.enqueue({ id: id as never, name: 'a', end }))).toEqual(refused);
    expect(await rejection(queue.enqueue({ id: 'a', name: 'a', end: id as never }))).toEqual(refused);
    expect(await rejection(queue.enqueue({ id: 'a', name: 'a', end }, 'emergencey' as never))).toEqual(refused);
    expect([ends, queue.size]).toEqual([0, 0]);
  });

  it.each(missing)('[ARG-1] takes no other listener off: %j', (value) => {
    const { pool } = setUp({ servers: {} });
    const all: unknown[] = [pool, pool.registry, pool.cleanup, new ProcessRegistry(), new CleanupQueue()];
    for (const emitter of all as MCPServerPool[]) {
      const before = emitter.listenerCount('listener:error');
      const listener = () => {};
      onTestFinished(() => void emitter.off('listener:error', listener));
      emitter.on('listener:error', listener);
      expect(() => emitter.off('listener:error', value as never)).toThrowError(refused);
      expect(() => emitter.removeListener('listener:error', value as never)).toThrowError(refused);
      expect(() => emitter.removeAllListeners(value as never)).toThrowError(refused);
      expect(() => emitter.on('listener:error', value as never)).toThrowError(refused);
      expect(() => emitter.once('listener:error', value as never)).toThrowError(refused);
      expect(emitter.listenerCount('listener:error')).toBe(before + 1);
    }
  });

  it('[ARG-1] is named by the error, with the call', () => {
    const { pool } = setUp({ servers: {} });
    const message = (run: () => unknown) => {
      try {
        return run();
      } catch (error) {
        return (error as PoolError).data.problems;
      }
    };
    expect(message(() => pool.releaseOwner(undefined as never))).toEqual(['owner must be a string, got undefined']);
    expect(() => pool.releaseOwner(undefined as never)).toThrowError('releaseOwner()');
    expect(() => pool.releaseTenant(null as never)).toThrowError('releaseTenant()');
  });
});
