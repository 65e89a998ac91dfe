import { describe, expect, it } from 'vitest';
import type { MCPServerPool, ServerEvent } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';
import { ANSWERS, connect, giveUp } from '../helpers/give-up.js';
import { flush, rejection } from '../helpers/until.js';

const server = { command: 'fake' };

const NAMES = [
  'server:starting',
  'server:stderr',
  'server:ready',
  'server:failed',
  'server:stopping',
  'server:exited',
  'server:stopped',
] as const;

/** Each event of a server, with the owners of the leases and of the callers that it names. */
function watch(pool: MCPServerPool) {
  const seen: [string, unknown[], unknown[]][] = [];
  const owners = (list: readonly { readonly owner: string | undefined }[]) => list.map(({ owner }) => owner);
  for (const event of NAMES)
    pool.on(event, ({ leases, callers }: ServerEvent) => seen.push([event.slice(7), owners(leases), owners(callers)]));
  return seen;
}

describe('events of a server', () => {
  it.each(['exclusive', 'dedicated', 'shared'] as const)('[EVENT-8] %s: name the leases on it', async (sharing) => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing, onCrash: 'close' } } });
    const seen: [string, unknown][] = [];
    for (const event of ['server:stderr', 'server:exited', 'server:stopping', 'server:stopped'] as const)
      pool.on(event, ({ leases }) => seen.push([event, leases]));
    const count = sharing === 'shared' ? 2 : 1;
    const leases = await Promise.all(
      Array.from({ length: count }, (_, index) => pool.getServer('a', { owner: `o${index}` })),
    );
    const holders = leases.map(({ id, owner }) => ({ leaseId: id, owner }));
    launcher.last.complain('help');
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(seen).toEqual([
      ['server:stderr', holders],
      ['server:stopping', holders],
      ['server:exited', holders],
      ['server:stopped', holders],
    ]);
  });

  it('[EVENT-8] follow the leases as they come, go and move', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing: 'shared' } } });
    const seen: unknown[] = [];
    pool.on('server:stderr', ({ leases }) => seen.push(leases.map(({ owner }) => owner)));
    pool.on('server:restarted', ({ leases }) => seen.push(leases.map(({ owner }) => owner)));
    const one = await pool.getServer('a', { owner: 'one' });
    launcher.last.complain('1');
    await pool.getServer('a', { owner: 'two' });
    launcher.last.complain('2');
    one.release();
    launcher.last.complain('3');
    launcher.last.exit();
    await flush(6);
    expect(seen).toEqual([['one'], ['one', 'two'], ['two'], ['two']]);
  });
});

const MODES = ['exclusive', 'dedicated', 'shared'] as const;

describe('events of a server that is started', () => {
  it.each(MODES)(
    '[EVENT-9] %s: name the owner of the call that waits for it, until that has the lease',
    async (sharing) => {
      const { pool, launcher } = setUp({ servers: { a: { ...server, sharing } } }, { spawn: false });
      const seen = watch(pool);
      const call = pool.getServer('a', { owner: 'x' });
      await flush();
      launcher.last.complain('downloads');
      launcher.last.spawned();
      const lease = await call;
      launcher.last.complain('works');
      expect(seen).toEqual([
        ['starting', [], ['x']],
        ['stderr', [], ['x']],
        ['ready', [], ['x']],
        ['stderr', ['x'], []],
      ]);
      lease.release();
    },
  );

  it.each(MODES)('[EVENT-9] %s: name it to the end when the start fails: it exits, or is refused', async (sharing) => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing } } }, { spawn: false });
    const seen = watch(pool);
    const first = rejection(pool.getServer('a', { owner: 'x' }));
    await flush();
    launcher.last.complain('no such module');
    launcher.last.exit({ exitCode: 1 });
    await first;
    await flush();
    expect(seen).toEqual(
      ['starting', 'stderr', 'stopping', 'exited', 'failed', 'stopped'].map((event) => [event, [], ['x']]),
    );
    seen.length = 0;
    const second = rejection(pool.getServer('a', { owner: 'y' }));
    await flush();
    launcher.last.refuse(new Error('EMFILE'));
    await second;
    expect(seen.filter(([event]) => event !== 'stopped')).toEqual([
      ['starting', [], ['y']],
      ['failed', [], ['y']],
    ]);
    launcher.onLaunch = () => {
      throw new Error('no launcher');
    };
    await rejection(pool.getServer('a', { owner: 'z' }));
    expect(seen.at(-1)).toEqual(['failed', [], ['z']]);
  });

  it('[EVENT-9] name it to the end when the start is too late', async () => {
    const { pool, launcher, clock } = setUp(
      { servers: { a: { ...server, startTimeout: 1_000 } } },
      { initialize: false },
    );
    const seen = watch(pool);
    const call = rejection(pool.getServer('a', { owner: 'x' }));
    await clock.advanceAndFlush(999);
    launcher.last.complain('still busy');
    await clock.advanceAndFlush(1);
    await call;
    await flush();
    expect(seen).toEqual(
      ['starting', 'stderr', 'stopping', 'failed', 'exited', 'stopped'].map((event) => [event, [], ['x']]),
    );
  });

  it("[EVENT-9] name each owner once, and those of 100 calls at most (reuse: 'tenant')", async () => {
    const { pool, launcher } = setUp(
      { servers: { a: { ...server, reuse: 'tenant', maxInstances: 1 } } },
      { spawn: false },
    );
    const failed: ServerEvent[] = [];
    pool.on('server:failed', (event) => failed.push(event));
    const abort = new AbortController();
    const call = (owner: string) => rejection(pool.getServer('a', { owner, signal: abort.signal }));
    const calls = ['o0', 'o0', 'o0', ...Array.from({ length: 150 }, (_, index) => `o${index}`)].map(call);
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    expect(failed[0]?.callers).toEqual(Array.from({ length: 97 }, (_, index) => ({ owner: `o${index}` })));
    abort.abort();
    await Promise.all(calls);
  });

  it('[EVENT-9] name no caller that has given up, and those of a tenant that adopts the start', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, maxInstances: 1 } } }, { spawn: false });
    const seen = watch(pool);
    const abort = new AbortController();
    const first = rejection(pool.getServer('a', { owner: 'x', signal: abort.signal }));
    await flush();
    abort.abort();
    await first;
    launcher.last.complain('one');
    const second = pool.getServer('a', { owner: 'y', tenant: 't' });
    await flush();
    launcher.last.complain('two');
    launcher.last.spawned();
    (await second).release();
    expect(seen.slice(0, 4)).toEqual([
      ['starting', [], ['x']],
      ['stderr', [], []],
      ['stderr', [], ['y']],
      ['ready', [], ['y']],
    ]);
  });

  it('[EVENT-9] name none for a spare one, and for one that has served a lease', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, minIdle: 1, maxInstances: 1 } } });
    await flush();
    const seen = watch(pool);
    launcher.last.complain('idle');
    const lease = await pool.getServer('a', { owner: 'x' });
    const waits = pool.getServer('a', { owner: 'x' });
    await flush();
    launcher.last.complain('used');
    expect(seen.map(([, ...named]) => named)).toEqual([
      [[], []],
      [['x'], []],
    ]);
    lease.release();
    (await waits).release();
  });
});

describe('events of a server after its last lease', () => {
  it.each(['dedicated', 'exclusive'] as const)('[EVENT-8] %s: name the lease with which it ends', async (sharing) => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing, reuse: 'never' } } });
    const lease = await pool.getServer('a', { owner: 'x' });
    const seen = watch(pool);
    launcher.last.auto = { ...launcher.last.auto, end: false };
    lease.release();
    launcher.last.complain('bye');
    launcher.last.exit();
    await flush();
    expect(seen).toEqual(['stopping', 'stderr', 'exited', 'stopped'].map((event) => [event, ['x'], []]));
  });

  it.each(MODES)('[EVENT-8] %s: name the leases that it had at the shutdown', async (sharing) => {
    for (const mode of ['graceful', 'emergency'] as const) {
      const { pool } = setUp({ servers: { a: { ...server, sharing } } });
      for (const owner of sharing === 'shared' ? ['x', 'y'] : ['x']) await pool.getServer('a', { owner });
      const seen = watch(pool);
      await pool.shutdown({ mode });
      const owners = sharing === 'shared' ? ['x', 'y'] : ['x'];
      expect(seen).toEqual(['stopping', 'exited', 'stopped'].map((event) => [event, owners, []]));
    }
  });

  it.each(['exclusive', 'shared'] as const)(
    '[EVENT-8] %s: name those that have moved since, when it was stuck',
    async (sharing) => {
      const { pool, launcher, clock } = setUp({ servers: { a: { ...server, sharing, onCrash: 'restart' } } });
      const { client } = await connect(pool, 'a', { owner: 'x' });
      const seen = watch(pool);
      const [first] = launcher.servers;
      if (first === undefined) throw new Error('no server');
      first.onRequest = ANSWERS.nothing;
      await giveUp(client, first);
      await clock.advanceAndFlush(10_000);
      await flush();
      expect(seen.filter(([event]) => /exited|stopp/.test(event))).toEqual(
        ['stopping', 'exited', 'stopped'].map((event) => [event, ['x'], []]),
      );
      expect(seen.filter(([event]) => event === 'ready')).toHaveLength(1);
    },
  );

  it('[EVENT-8] name the lease that gave up the request which it never answered', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } });
    const { lease, client } = await connect(pool, 'a', { owner: 'x' });
    const seen = watch(pool);
    launcher.last.onRequest = ANSWERS.nothing;
    await giveUp(client, launcher.last);
    lease.release();
    await clock.advanceAndFlush(5_000);
    expect(seen).toEqual(['stopping', 'exited', 'stopped'].map((event) => [event, ['x'], []]));
  });

  it('[EVENT-8] name none when it has served others since, or was idle', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: { ...server, reuse: 'tenant', idleTimeout: 1_000 } } });
    (await pool.getServer('a', { owner: 'x' })).release();
    const seen = watch(pool);
    launcher.last.complain('idle');
    await clock.advanceAndFlush(1_000);
    expect(seen).toEqual(['stderr', 'stopping', 'exited', 'stopped'].map((event) => [event, [], []]));
  });
});
