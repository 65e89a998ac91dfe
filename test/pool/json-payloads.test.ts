import { describe, expect, it, vi } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { AnyPoolEvent, PoolEvents } from '../../src/index.js';
import { InstanceSupervisor } from '../../src/pool/supervision/instance-supervisor.js';
import { setUp } from '../helpers/fake-pool.js';
import { fixture } from '../helpers/fixture.js';
import { assertJsonSafe } from '../helpers/json-safe.js';
import { setUpMeasured } from '../helpers/measured-pool.js';
import { fails, open } from '../helpers/real-pool.js';
import { flush, until } from '../helpers/until.js';

// Those of everything else that happens in the life of a pool are looked at in `call-backs.test.ts`.

const SECRET = 'swordfish-90210';

/** What of a payload is no plain value. */
type Unsafe<T> = T extends string | number | boolean | null | undefined | PoolError
  ? never
  : T extends (...args: never) => unknown
    ? T
    : T extends readonly (infer Item)[]
      ? Unsafe<Item>
      : T extends object
        ? { [K in keyof T]-?: Unsafe<T[K]> }[keyof T]
        : T;
/** What a listener has thrown, which may be anything, is written by a function of its own. */
type UnsafeEvent = { [K in Exclude<keyof PoolEvents, 'listener:error'>]: Unsafe<PoolEvents[K]> }[Exclude<
  keyof PoolEvents,
  'listener:error'
>];
// Fails to compile when a payload gets a field that is no plain value.
true satisfies [UnsafeEvent] extends [never] ? true : false;

/** All events of a pool from now on. */
function heardOf({ pool }: { readonly pool: { onAny(listener: (...event: AnyPoolEvent) => void): () => void } }) {
  const heard: AnyPoolEvent[] = [];
  pool.onAny((...event) => void heard.push(event));
  return heard;
}

const written = (heard: readonly AnyPoolEvent[], event: keyof PoolEvents): unknown[] =>
  heard.filter(([name]) => name === event).map(([, payload]) => JSON.parse(JSON.stringify(payload)));

describe('payloads as JSON', () => {
  const circle = Object.assign(new Error('round'), { cause: undefined as unknown });
  circle.cause = circle;
  const unreadable = new Error('never read');
  Object.defineProperty(unreadable, 'message', {
    get: () => {
      throw new Error('not readable');
    },
  });
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();

  it.each([
    [
      'an error',
      Object.assign(new TypeError('boom'), { code: 'E_BOOM', token: SECRET }),
      { name: 'TypeError', code: 'E_BOOM', message: 'boom' },
    ],
    [
      'a PoolError',
      new PoolError('OVERLOADED', 'no', { name: 'a' }),
      { code: 'OVERLOADED', message: 'no', data: { name: 'a' } },
    ],
    ['an error that is its own cause', circle, { message: 'round' }],
    ['an error that cannot be read', unreadable, 'an object that cannot be read'],
    ['a proxy that is revoked', proxy, 'an object that cannot be read'],
    ['an object with itself in it', Object.assign({ token: SECRET }, { self: circle }), 'an object'],
    ['a function', () => SECRET, 'a function'],
    ['a bigint', 7n, '7'],
    ['a symbol', Symbol('gone'), 'Symbol(gone)'],
    ['nothing', undefined, 'undefined'],
  ])(
    '[EVENT-11] [SHOW-1] what a listener has thrown is written whatever it is: %s',
    async (_what, thrown, expected) => {
      const all = setUp({ servers: { a: { command: 'fake' } } });
      const heard = heardOf(all);
      all.pool.once('lease:acquired', () => {
        throw thrown;
      });
      await all.pool.getServer('a');
      const [error, ...more] = written(heard, 'listener:error');
      expect(more).toEqual([]);
      expect(error).toMatchObject({ event: 'lease:acquired', error: expected });
      expect(JSON.stringify(error)).not.toContain(SECRET);
    },
  );

  it('[EVENT-11] of a call of the host by the monitor are written, too', async () => {
    const all = setUpMeasured({
      servers: { a: { command: 'fake', expectedProcesses: 1 } },
      monitoring: {
        levels: { enforce: true },
        onEmergency: () => {
          throw { token: SECRET, big: 7n };
        },
      },
    });
    const heard = heardOf(all);
    await all.pool.getServer('a');
    await all.pass(6_000);
    all.server(0).load = { processes: 400 };
    await all.pass(60_000);
    await flush();
    expect(written(heard, 'listener:error')).toContainEqual({ event: 'onEmergency', error: 'an object' });
  });

  it('[EVENT-11] of the monitor are plain: levels, limits, growth, actions, what cannot be measured', async () => {
    const one = { command: 'fake', expectedProcesses: 1 };
    const grown = setUpMeasured({ servers: { a: one, b: one }, monitoring: { levels: { enforce: true } } });
    const limited = setUpMeasured({ servers: { a: { ...one, memoryLimitMB: 100 } }, monitoring: { dryRun: true } });
    const failing = setUpMeasured({ servers: { a: one } });
    const heard = [grown, limited, failing].map(heardOf);
    for (const { pool } of [grown, limited, failing]) await pool.getServer('a');
    await grown.pool.getServer('b');
    failing.server(0).failure = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    for (const { pass } of [grown, limited, failing]) await pass(6_000);
    grown.server(1).load = { processes: 41 };
    limited.server(0).load = { memoryMB: 200 };
    for (const { pass } of [grown, limited, failing]) await pass(60_000);
    limited.server(0).load = {};
    await limited.pass(60_000);
    const seen = new Set(heard.flat().map(([event]) => event));
    const expected = ['level:changed', 'limit:exceeded', 'limit:recovered', 'growth:detected', 'action:taken'] as const;
    for (const event of [...expected, 'monitor:degraded'] as const) expect(seen).toContain(event);
    for (const event of heard.flat()) assertJsonSafe(event);
  });

  it('[EVENT-11] of a fault of the library show its cause', async () => {
    const all = setUp({ servers: { a: { command: 'fake' } } });
    const heard = heardOf(all);
    const injected = vi.spyOn(InstanceSupervisor.prototype, 'ready').mockImplementationOnce(() => {
      throw new TypeError('injected');
    });
    await all.pool.getServer('a');
    injected.mockRestore();
    expect(written(heard, 'internal:error')).toMatchObject([
      { name: 'a', error: { code: 'INTERNAL_ERROR', cause: { name: 'TypeError', message: 'injected' } } },
    ]);
    for (const event of heard) assertJsonSafe(event);
  });

  it('[EVENT-11] [SECRET-1] of real servers hold no secret of a definition', async () => {
    const quick = { env: { TOKEN: SECRET }, eofGrace: 150, termGrace: 150 };
    const dies = fixture('dies-in-handshake');
    const pool = open({
      echo: { ...fixture('echo'), ...quick },
      dies: { ...dies, ...quick, args: [...dies.args, `--token=${SECRET}`] },
      missing: { command: '/nonexistent/command', ...quick },
    });
    const heard = heardOf({ pool });
    (await pool.getServer('echo')).release();
    expect((await fails(pool.getServer('dies'))).code).toBe('SERVER_EXITED');
    expect((await fails(pool.getServer('missing'))).code).toBe('COMMAND_NOT_FOUND');
    await pool.shutdown();
    await until('the last event', () => heard.some(([event]) => event === 'pool:closed'));
    for (const event of heard) assertJsonSafe(event);
    // What a server writes to stderr is its own word, and documented so.
    const others = heard.filter(([event]) => event !== 'server:stderr');
    expect(JSON.stringify(others)).not.toContain(SECRET);
    expect(written(heard, 'server:failed')).toMatchObject([
      { name: 'dies', error: { code: 'SERVER_EXITED' } },
      { name: 'missing', error: { code: 'COMMAND_NOT_FOUND' } },
    ]);
  });
});
