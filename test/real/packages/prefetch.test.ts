import { expect, it } from 'vitest';
import { fixture } from '../../helpers/fixture.js';
import { NpmRegistry, npmUser } from '../../helpers/npm-registry.js';
import { fails, open, record } from '../../helpers/real-pool.js';

it('[PACKAGES-9] prefetch() installs before anybody waits, tells each server, and throws for none', async () => {
  const registry = await NpmRegistry.open();
  registry.publishServer('greets', '1.0.0');
  const user = npmUser(registry);
  const pool = open(
    {
      one: user.npx('-y', 'greets'),
      two: user.npx('-y', 'greets', 'with', 'arguments'),
      plain: fixture('echo'),
      missing: user.npx('-y', 'no-such-package'),
      call: user.npx('-c', 'greets'),
      off: { ...user.npx('-y', 'greets'), resolvePackages: false },
    },
    { resolvePackages: true },
  );
  const progress: unknown[] = [];
  const thrown = record(pool, 'listener:error');
  const report = await pool.prefetch({
    onProgress: ({ server, done, total }) => {
      progress.push([done, total]);
      if (server.name === 'one') throw new Error('of the host');
    },
  });
  expect(report.servers.map(({ name, state, package: found }) => [name, state, found])).toEqual([
    ['one', 'installed', 'greets@1.0.0'],
    ['two', 'installed', 'greets@1.0.0'],
    ['plain', 'skipped', undefined],
    ['missing', 'failed', undefined],
    ['call', 'skipped', undefined],
    ['off', 'skipped', undefined],
  ]);
  expect(report.servers[3]!.message).toContain('E404');
  expect(progress).toEqual([1, 2, 3, 4, 5, 6].map((done) => [done, 6]));
  expect(thrown).toMatchObject([{ event: 'onProgress' }]);
  expect(user.runs().length).toBe(2);
  await pool.getServer('one');
  expect((await pool.prefetch()).servers[0]).toMatchObject({ state: 'present', package: 'greets@1.0.0' });
  expect(user.runs().length).toBe(2);
  await pool.shutdown();
  expect((await fails(pool.prefetch())).code).toBe('POOL_CLOSED');
});

it('[PACKAGES-9] prefetch() ends with its signal, and at its timeout', async () => {
  const registry = await NpmRegistry.open();
  registry.hangs = true;
  const user = npmUser(registry);
  const pool = open({ one: user.npx('-y', 'greets') }, { resolvePackages: true });
  const late = await pool.prefetch({ timeout: 200 });
  expect(late.servers).toMatchObject([{ state: 'failed' }]);
  expect(late.servers[0]!.message).toContain('200 ms');
  const abort = AbortSignal.abort();
  expect((await pool.prefetch({ signal: abort })).servers[0]!.message).toContain('aborted');
});
