import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEnvironment } from '../../src/config/environment.js';
import {
  CleanupQueue,
  endStrays,
  endWatched,
  findStrays,
  formatStatus,
  MCPServerPool,
  PoolError,
  ProcessRegistry,
  runRecoveryDrill,
  watchProcesses,
} from '../../src/index.js';
import { StdioClientTransport } from '../../src/stdio.js';
import { setUp } from '../helpers/fake-pool.js';
import { propertyRuns } from '../helpers/properties.js';
import { flush, rejection } from '../helpers/until.js';

const { cases, testTimeout } = propertyRuns(400);

const thrower = {
  get command(): string {
    throw new Error('getter');
  },
  get id(): string {
    throw new Error('getter');
  },
  get tenant(): string {
    throw new Error('getter');
  },
  get stderr(): string {
    throw new Error('getter');
  },
};
const circle: Record<string, unknown> = {};
circle.circle = circle;

const trap = () => {
  throw new Error('trap');
};
const traps = { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap, getOwnPropertyDescriptor: trap, set: trap };
const revoked = (target: object) => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};
/** They pass `instanceof`, or `Array.isArray`, and throw when they are used. */
const exotic: readonly unknown[] = [
  new Proxy({}, traps),
  new Proxy([], traps),
  new Proxy(() => {}, traps),
  revoked({}),
  revoked([]),
  Object.create(AbortSignal.prototype),
  Object.create(RegExp.prototype),
  Object.freeze({ command: 'fake' }),
  Object.assign(Object.create({ inherited: true }), { command: 'fake' }),
  { [Symbol('command')]: 'fake' },
  { signal: Object.create(AbortSignal.prototype), owner: undefined, tenant: undefined },
];

const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true }),
  fc.constantFrom<unknown>(
    Symbol('s'),
    Object.create(null),
    thrower,
    circle,

    () => {},
    new Map(),
    10n,
    Number.NaN,
  ),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', ''),
  fc.dictionary(
    fc.constantFrom('command', 'args', 'env', 'inheritEnv', 'restart', 'tenant', 'owner', '__proto__', 'timeout'),
    fc.anything(),
    {
      noNullPrototype: false,
    },
  ),
);

/**
 * What the types do not say: values of every kind, and objects that throw when they are looked at. Behind a function, since
 * fast-check looks at what it generates.
 */
const hostile: fc.Arbitrary<() => unknown> = fc.oneof(
  { weight: 4, arbitrary: odd.map((value) => () => value) },
  { weight: 1, arbitrary: fc.nat(exotic.length - 1).map((index) => () => exotic[index]) },
);

/** The names of all properties that every object inherits: no call may add one. */
const inherited = () =>
  JSON.stringify([Object, Array, Function, Map, Promise].map((one) => Reflect.ownKeys(one.prototype).map(String)));

/** The error of a call; undefined when it did not fail. Anything but a PoolError fails the test. */
async function errorOf(run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof PoolError) return void JSON.stringify(error);
    throw new Error(`not a PoolError: ${inspect(error)}`);
  }
}

describe('input that is not what the types say', () => {
  it('[FUZZ-1] is a PoolError from every call of a pool, and changes nothing', { timeout: testTimeout }, async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' }, b: { command: 'fake' } } });
    const lease = await pool.getServer('a');
    const before = inherited();
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (one, other) => {
        const [x, y] = [one() as never, other() as never];
        await errorOf(() => pool.getServer(x, y).then((got) => got.release()));
        await errorOf(() => pool.getServer('b', y).then((got) => got.release()));
        for (const run of [
          () => pool.releaseServer(x),
          () => pool.releaseOwner(x),
          () => pool.releaseTenant(x),
          () => pool.addServer(x, y),
          () => pool.setServer(x, y),
          () => pool.setServer('b', x),
          () => pool.updateServer('b', x, y),
          () => pool.resetBreaker(x, y),
          () => pool.resetBreaker('b', y),
          () => pool.hasServer(x),
          () => pool.getDefinition(x),
          () => pool.restart(x, y),
          () => pool.removeServer(x, y),
          () => pool.warm(x, y),
          () => pool.plan(x),
          () => runRecoveryDrill(pool, x),
          () => formatStatus(pool.status(), x),
          () => pool.waitFor(x, y),
          () => pool.off('listener:error', x),
          () => pool.on('listener:error', typeof x === 'function' ? (undefined as never) : x),
          () => pool.on(x, () => {}).removeAllListeners(x),
          () => pool.once(x, () => {}).off(x),
          () => pool.cleanup.escalate(x),
          () => pool.cleanup.enqueue(x, y),
          () => pool.cleanup.status(x),
          () => pool.registry.add(x),
          () => pool.registry.remove(x),
          () => pool.registry.byName(x),
        ]) {
          await errorOf(run);
        }
        for (const name of Object.keys(pool.status().servers)) if (name !== 'a') await pool.removeServer(name);
        pool.addServer('b', { command: 'fake' });
      }),
      { numRuns: cases },
    );
    await flush();
    expect(inherited()).toBe(before);
    expect(Object.keys(pool.status().servers)).toEqual(['a', 'b']);
    expect(pool.status()).toMatchObject({ leases: 1 });
    expect(launcher.living.map(({ pid }) => pid)).toContain(lease.pid);
    expect(lease.release()).toBe(true);
  });

  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[FUZZ-1] is a PoolError from send(), and reaches no server: %s',
    { timeout: testTimeout },
    async (sharing) => {
      const { pool, launcher } = setUp({ servers: { a: { command: 'fake', sharing } } });
      const faults: unknown[] = [];
      pool.on('internal:error', (fault) => faults.push(fault));
      const { transport } = await pool.getServer('a');
      await transport.start();
      await flush();
      const { length } = launcher.last.received;
      const batch = [{ jsonrpc: '2.0', id: 1, method: 'tools/list' }];
      const parts = [10n, circle, ...exotic.slice(0, 5), { toJSON: trap }];
      for (const wrong of [
        ...[
          5,
          'ping',
          true,
          null,
          undefined,
          Symbol('s'),
          10n,
          () => {},
          new Date(),
          [],
          batch,
          {},
          { method: 'ping' },
        ],
        ...[{ jsonrpc: '2.0' }, { jsonrpc: '2.0', id: 1 }, { jsonrpc: '2.0', id: {}, method: 'ping' }, ...exotic],
        ...[{ jsonrpc: '2.0', id: 1, method: 5 }, { jsonrpc: '1.0', method: 'x' }, { toJSON: () => undefined }],
        ...[{ toJSON: () => 5 }, { toJSON: trap }],
        ...parts.map((params) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })),
        ...parts.map((params) => ({ jsonrpc: '2.0', method: 'notifications/x', params })),
        ...parts.map((depth) => ({
          jsonrpc: '2.0',
          id: 1,
          method: 'resources/subscribe',
          params: { uri: 'a', depth },
        })),
      ]) {
        const error = await rejection(transport.send(wrong as never));
        expect(error).toMatchObject({ name: 'PoolError', code: 'INVALID_OPTIONS' });
      }
      await flush();
      expect(launcher.last.received).toHaveLength(length);
      expect(faults).toEqual([]);
      expect(transport).toMatchObject({ openRequests: 0 });
      await transport.send({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
      await flush();
      expect(launcher.last.received.length).toBe(length + 1);
    },
  );

  it('[FUZZ-1] is a PoolError from send() of the drop-in, and its close() never rejects', async () => {
    const transport = new StdioClientTransport({ command: 'cat' });
    await transport.start();
    for (const wrong of [5, null, undefined, [], circle, ...exotic]) {
      const error = await rejection(transport.send(wrong as never));
      expect(error).toMatchObject({ name: 'PoolError', code: 'INVALID_OPTIONS' });
    }
    await transport.close(new Proxy({}, traps));
    expect(transport.pid).toBeNull();
    await MCPServerPool.global().shutdown();
  });

  it('[FUZZ-1] is a PoolError from global(), and makes no pool', async () => {
    for (const options of exotic.slice(0, 5)) {
      expect(() => MCPServerPool.global(options as never)).toThrowError(PoolError);
      expect(() => MCPServerPool.global({ limits: options, cleanup: options } as never)).toThrowError(PoolError);
    }
    const pool = MCPServerPool.global({ maxWaiting: 7 });
    await pool.shutdown();
  });

  it('[FUZZ-1] dependencies that are none are refused, and nothing is started', async () => {
    const servers = { a: { command: 'fake', minIdle: 1 } };
    for (const wrong of [5, 'x', null, [], {}, Symbol('s'), { now: 5 }, ...exotic]) {
      for (const dependencies of [{ clock: wrong }, { launcher: wrong }, { lancher: wrong }]) {
        expect(() => new MCPServerPool({ servers }, dependencies as never)).toThrowError(PoolError);
      }
    }
    for (const wrong of [5, 'x', null, [], Symbol('s'), { now: 5 }, ...exotic.slice(0, 7)]) {
      expect(() => new MCPServerPool({}, wrong as never)).toThrowError(PoolError);
    }
    await new MCPServerPool({}, { clock: undefined, launcher: undefined }).shutdown();
  });

  it('[FUZZ-1] strays that cannot be read are refused', async () => {
    for (const wrong of [null, 'x', {}, ...exotic]) {
      await errorOf(() => endStrays(wrong as never));
      await errorOf(() => endStrays([], wrong as never));
      expect(await rejection(endStrays([wrong] as never))).toBeInstanceOf(PoolError);
      expect(await rejection(endStrays([], { termGrace: wrong } as never))).toBeInstanceOf(PoolError);
    }
  });

  it('[FUZZ-1] watched processes and options of a watch that cannot be read are refused', async () => {
    for (const wrong of [null, 'x', {}, ...exotic]) {
      expect(await rejection(endWatched([wrong] as never))).toBeInstanceOf(PoolError);
      expect(await rejection(endWatched([], { termGrace: wrong } as never))).toBeInstanceOf(PoolError);
      for (const options of [{ patterns: wrong }, { patterns: [wrong] }, { patterns: ['x'], memoryLimitMB: wrong }]) {
        await errorOf(() => watchProcesses(options as never).stop());
      }
    }
  });

  it('[FUZZ-1] is a PoolError when a pool, a queue, a registry or a transport is made', {
    timeout: testTimeout,
  }, async () => {
    const before = inherited();
    await fc.assert(
      fc.asyncProperty(hostile, async (make) => {
        const given = make();
        const x = given as never;
        await errorOf(() => new MCPServerPool({ servers: { a: x }, handleSignals: 0 as never }));
        await errorOf(() => new MCPServerPool({ defaults: x, handleSignals: 0 as never }));
        await errorOf(() => new CleanupQueue(x));
        await errorOf(() => new ProcessRegistry().add(x));
        await errorOf(() =>
          findStrays(typeof given === 'object' && given !== null ? ({ patterns: 0, given } as never) : x),
        );
        if (given !== null && typeof given === 'object') {
          await errorOf(() => new StdioClientTransport({ command: 5 as never, stderr: x }).start());
        }
      }),
      { numRuns: cases },
    );
    expect(inherited()).toBe(before);
  });

  it('[FUZZ-1] inherited names are no variables of the host', () => {
    for (const name of ['toString', '__proto__', 'constructor', 'hasOwnProperty']) {
      expect(Object.keys(resolveEnvironment({}, [name], {}))).toEqual([]);
      const env = JSON.parse(`{ "${name}": "own" }`) as Record<string, string>;
      expect(Object.entries(resolveEnvironment({}, [name], env))).toEqual([[name, 'own']]);
      expect(Object.entries(resolveEnvironment(env, [], {}))).toEqual([[name, 'own']]);
    }
  });

  it('[FUZZ-1] each value is read once: a getter cannot show another one to the check', () => {
    let reads = 0;
    const given = {
      get command() {
        reads += 1;
        return reads === 1 ? 'node' : '';
      },
      args: new Proxy(['x'], {}),
    };
    const { pool } = setUp({ servers: {} });
    pool.addServer('a', given);
    expect(reads).toBe(1);
  });

  it('[FUZZ-1] a message with a toJSON() is sent as it is written, its id included', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' } } });
    const { transport } = await pool.getServer('a');
    await transport.start();
    const message = {
      jsonrpc: '2.0',
      method: 'notifications/x',
      toJSON: () => ({ jsonrpc: '2.0', id: 77, method: 'ping' }),
    };
    const answered = new Promise((resolve) => {
      transport.onmessage = resolve;
    });
    await transport.send(message as never);
    expect(await answered).toMatchObject({ id: 77 });
    expect(launcher.last.received.every(({ id }) => id !== 77)).toBe(true);
  });
});
