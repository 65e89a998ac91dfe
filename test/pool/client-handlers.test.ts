import { describe, expect, it, onTestFinished } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { MCPServerPool, PooledServer, PoolOptions, ServerDefinition } from '../../src/index.js';
import type { ManualClock } from '../helpers/clock.js';
import type { FakeLauncher } from '../helpers/fake-launcher.js';
import { setUp } from '../helpers/fake-pool.js';
import { assertSettled } from '../helpers/settled.js';
import { flush } from '../helpers/until.js';

/** A pool with one server `a`, a client of it with an open call, a second lease, and a caller that waits. */
interface Scene {
  readonly pool: MCPServerPool;
  readonly clock: ManualClock;
  readonly launcher: FakeLauncher;
  readonly lease: PooledServer;
  readonly other: PooledServer;
}

/** A way in which the lease ends, or its process. */
interface Ending {
  readonly definition?: Partial<ServerDefinition>;
  /** Whether the client has a call open. Default true. */
  readonly hasCall?: boolean;
  /** The handlers of the client that are called, in order. */
  readonly handlers: readonly string[];
  readonly happens: (scene: Scene) => unknown;
}

const SHARED = { sharing: 'shared', maxSessions: 2 } as const;

const ENDINGS: Record<string, Ending> = {
  'is released': { handlers: ['answer', 'onclose'], happens: ({ lease }) => lease.release() },
  'is released, shared': {
    definition: SHARED,
    handlers: ['answer', 'onclose'],
    happens: ({ lease }) => lease.release(),
  },
  'is closed by its client': { handlers: ['onclose'], happens: ({ lease }) => lease.transport.close() },
  'is released with all of its owner': {
    handlers: ['answer', 'onclose'],
    happens: ({ pool }) => pool.releaseOwner('o'),
  },
  'is taken back since it is silent': {
    definition: { leaseIdleTimeout: 1_000 },
    hasCall: false,
    handlers: ['onerror', 'onclose'],
    happens: ({ clock }) => clock.advance(1_000),
  },
  'is taken back, shared': {
    definition: { ...SHARED, maxInstances: 1, leaseIdleTimeout: 1_000 },
    hasCall: false,
    handlers: ['onerror', 'onclose'],
    happens: ({ clock }) => clock.advance(1_000),
  },
  'ends with its process': {
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ launcher, lease }) => launcher.servers.find(({ pid }) => pid === lease.pid)?.exit({ exitCode: 1 }),
  },
  'ends with its process, dedicated': {
    definition: { sharing: 'dedicated' },
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ launcher, lease }) => launcher.servers.find(({ pid }) => pid === lease.pid)?.exit({ exitCode: 1 }),
  },
  'outlives its process': {
    definition: SHARED,
    handlers: ['answer'],
    happens: ({ launcher }) => launcher.servers[0]?.exit({ exitCode: 1 }),
  },
  'ends when its breaker opens': {
    definition: { ...SHARED, restart: { maxRestarts: 0 } },
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ launcher }) => launcher.servers[0]?.exit({ exitCode: 1 }),
  },
  'ends with its server': {
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ pool, clock }) => {
      void pool.removeServer('a', { timeout: 100 });
      clock.advance(100);
    },
  },
  'ends when its server is restarted': {
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ pool, clock }) => {
      void pool.restart('a', { timeout: 100 });
      clock.advance(100);
    },
  },
  'ends with its tenant': { handlers: ['answer', 'onclose'], happens: ({ pool }) => pool.releaseTenant('t') },
  'ends with the pool': {
    handlers: ['answer', 'onerror', 'onclose'],
    happens: ({ pool }) => pool.shutdown({ mode: 'emergency' }),
  },
};

/** What a handler may do. */
const ACTIONS: Record<string, (scene: Scene) => unknown> = {
  'does nothing': () => {},
  'releases another lease': ({ other }) => other.release(),
  'releases its own lease': ({ lease }) => lease.release(),
  'asks for a server': ({ pool }) => pool.getServer('a', { tenant: 't', timeout: 500 }),
  'restarts the server': ({ pool }) => pool.restart('a', { timeout: 100 }),
  'removes the server': ({ pool }) => pool.removeServer('a', { timeout: 100 }),
  'releases all leases of the tenant': ({ pool }) => pool.releaseTenant('t'),
  'shuts the pool down': ({ pool }) => pool.shutdown(),
  throws: () => {
    throw new Error('a handler that throws');
  },
};

async function open({ definition, hasCall = true }: Ending, options: Partial<PoolOptions> = {}) {
  const servers = { a: { command: 'fake', maxInstances: 2, ...definition } };
  const { pool, clock, launcher } = setUp({ servers, ...options }, { answer: false });
  const lease = await pool.getServer('a', { tenant: 't', owner: 'o' });
  const other = await pool.getServer('a', { tenant: 't', owner: definition?.sharing === 'shared' ? 'o' : 'p' });
  const scene: Scene = { pool, clock, launcher, lease, other };
  const handled: string[] = [];
  let act: (() => unknown) | undefined;
  const heard = (handler: string) => {
    handled.push(handler);
    assertSettled(pool);
    act?.();
  };
  const { transport } = lease;
  const failures: unknown[] = [];
  const on =
    (handler: string) =>
    (...args: unknown[]): void => {
      const [error] = args;
      // What `onclose` and `onmessage` throw goes there, too.
      if (handler === 'onerror' && !(error instanceof PoolError)) {
        if ((error as Error).message !== 'a handler that throws') failures.push(error);
        return;
      }
      heard(handler);
    };
  transport.onclose = on('onclose');
  transport.onerror = on('onerror');
  transport.onmessage = on('answer');
  onTestFinished(() => expect(failures).toEqual([]));
  await transport.start();
  if (hasCall) await transport.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } });
  await flush();
  return {
    scene,
    handled,
    /** From now on each handler does this. */
    whenHandled(action: () => unknown) {
      act = action;
    },
  };
}

describe('the handlers of the client of a lease', () => {
  describe.each(Object.entries(ENDINGS))('that %s', (_how, ending) => {
    it.each(Object.entries(ACTIONS))(
      '[EVENT-6] [SESS-1] are called once, in order, on settled state, when one %s',
      async (what, act) => {
        const { scene, handled, whenHandled } = await open(ending);
        const { pool, clock, other } = scene;
        // Looked at once all has come to an end; none may be unhandled until then.
        const errors: Promise<unknown>[] = [];
        const add = (call: unknown) => {
          if (!(call instanceof Promise)) return;
          errors.push(
            call.then(
              () => undefined,
              (error: unknown) => error,
            ),
          );
        };
        add(pool.getServer('a', { tenant: 't', owner: 'o', timeout: 2_000 }));
        let acts = 0;
        whenHandled(() => {
          acts += 1;
          if (acts === 1 || what === 'throws') add(act(scene));
        });
        add(ending.happens(scene));
        await flush(8);
        other.release();
        await clock.advanceAndFlush(2_000);
        const { handlers } = ending;
        expect(handled.slice(0, handlers.length)).toEqual(handlers);
        // A lease that goes on may be ended by what its handler did.
        if (handlers.includes('onclose')) expect(handled).toEqual(handlers);
        else expect(handled.filter((handler) => handler === 'onclose').length).toBeLessThanOrEqual(1);
        assertSettled(pool);
        for (const error of await Promise.all(errors)) if (error !== undefined) expect(error).toBeInstanceOf(PoolError);
      },
    );
  });

  it('[EVENT-6] are called when the caller that waited has what came free', async () => {
    const { scene, whenHandled } = await open({ handlers: [], happens: () => {}, hasCall: false });
    const { pool, lease } = scene;
    const waiting = pool.getServer('a', { tenant: 't', owner: 'o' });
    expect(pool.status().waiting).toBe(1);
    const seen: unknown[] = [];
    whenHandled(() => seen.push(pool.status()));
    lease.release();
    expect(seen).toMatchObject([{ waiting: 0, leases: 2, idle: 0 }]);
    expect((await waiting).pid).toBe(lease.pid);
  });

  it('[EVENT-6] are called before listeners hear of the release, which happened after the session ended', async () => {
    const { scene, handled, whenHandled } = await open({ handlers: [], happens: () => {}, hasCall: false });
    const { pool, lease, other } = scene;
    const order: string[] = [];
    pool.on('lease:released', ({ leaseId }) => order.push(leaseId === lease.id ? 'released' : 'other released'));
    whenHandled(() => {
      order.push('onclose');
      other.release();
    });
    lease.release();
    expect(handled).toEqual(['onclose']);
    // What the handler caused comes after what was queued already.
    expect(order).toEqual(['onclose', 'released', 'other released']);
  });
});
