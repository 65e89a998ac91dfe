import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEnvironment } from '../../src/config/environment.js';
import { CleanupQueue, findStrays, MCPServerPool, PoolError, ProcessRegistry } from '../../src/index.js';
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

/** What the types do not say: values of every kind, and objects that throw when they are looked at. */
const hostile: fc.Arbitrary<unknown> = fc.oneof(
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
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' } } });
    const lease = await pool.getServer('a');
    const before = inherited();
    await fc.assert(
      fc.asyncProperty(hostile, hostile, async (one, other) => {
        const [x, y] = [one as never, other as never];
        if (typeof one === 'string' || one === undefined) return;
        await errorOf(() => pool.getServer(x, y).then((got) => got.release()));
        await errorOf(() => pool.getServer('a', y).then((got) => got.release()));
        for (const run of [
          () => pool.releaseServer(x),
          () => pool.releaseOwner(x),
          () => pool.releaseTenant(x),
          () => pool.addServer(x, y),
          () => pool.updateServer('a', x, y),
          () => pool.removeServer(x, y),
          () => pool.restart(x, y),
          () => pool.warm(x, y),
          () => pool.plan(x),
          () => pool.off('listener:error', x),
          () => pool.on('listener:error', typeof one === 'function' ? (undefined as never) : x),
          () => pool.cleanup.escalate(x),
          () => pool.cleanup.enqueue(x, y),
          () => pool.registry.add(x),
          () => pool.registry.remove(x),
        ]) {
          await errorOf(run);
        }
      }),
      { numRuns: cases },
    );
    await flush();
    expect(inherited()).toBe(before);
    expect(Object.keys(pool.status().servers)).toEqual(['a']);
    expect(pool.status()).toMatchObject({ leases: 1 });
    expect(launcher.living.map(({ pid }) => pid)).toContain(lease.pid);
    expect(lease.release()).toBe(true);
  });

  it('[FUZZ-1] is a PoolError when a pool, a queue, a registry or a transport is made', {
    timeout: testTimeout,
  }, async () => {
    const before = inherited();
    await fc.assert(
      fc.asyncProperty(hostile, async (given) => {
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
    for (const wrong of [null, undefined])
      expect(await rejection(transport.send(wrong as never))).toBeInstanceOf(Error);
  });
});
