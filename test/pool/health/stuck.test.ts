import { describe, expect, it } from 'vitest';
import { RawClient } from '../../helpers/client.js';
import { setUp as setUpPool } from '../../helpers/fake-pool.js';
import { connect } from '../../helpers/give-up.js';
import { record } from '../../helpers/real-pool.js';
import { flush } from '../../helpers/until.js';

const shared = { command: 'fake', sharing: 'shared', idleTimeout: Infinity } as const;

function setUp(options: Parameters<typeof setUpPool>[0], auto: Parameters<typeof setUpPool>[1] = {}) {
  const all = setUpPool({ defaults: {}, ...options }, auto);
  const stuck = () => all.emitted.flatMap(({ event, payload }) => (event === 'stuck:detected' ? [payload] : []));
  return { ...all, stuck, pass: (ms: number) => all.clock.advanceAndFlush(ms) };
}

describe('stuck:detected', () => {
  it.each(['shared', 'dedicated'] as const)('[STUCK-1] names an open request, once: %s', async (sharing) => {
    const { pool, launcher, pass, stuck } = setUp({ servers: { a: { ...shared, sharing, health: { check: false } } } });
    const { client, lease } = await connect(pool, 'a', { tenant: 't' });
    launcher.last.onRequest = () => undefined;
    void client.request('tools/call', { name: 'slow' }).catch(() => {});
    void client.request('resources/read', { uri: 'x' }).catch(() => {});
    await pass(290_000);
    expect(stuck()).toEqual([]);
    await pass(600_000);
    const of = { kind: 'request', name: 'a', instanceId: lease.instanceId, tenant: 't', leaseId: lease.id };
    expect(stuck()).toMatchObject([
      { ...of, method: 'tools/call', tool: 'slow' },
      { ...of, method: 'resources/read', tool: undefined },
    ]);
    for (const { age } of stuck()) expect(age).toBeGreaterThanOrEqual(300_000);
  });

  it('[STUCK-1] names a request that waits for its turn, too', async () => {
    const { pool, launcher, pass, stuck } = setUp({
      servers: { a: { ...shared, maxInFlight: 1, health: { check: false, stuckAfter: 60_000 } } },
    });
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = () => undefined;
    for (const name of ['first', 'second']) client.request('tools/call', { name }).catch(() => {});
    await pass(120_000);
    expect(stuck().map(({ tool }) => tool)).toEqual(['first', 'second']);
  });

  it('[STUCK-1] names a silent lease with its owner, a start, and an end, each once', async () => {
    const health = { check: false, stuckAfter: 60_000 } as const;
    const { pool, launcher, pass, stuck } = setUp(
      {
        servers: {
          a: { ...shared, leaseIdleTimeout: 120_000, health },
          b: { ...shared, startTimeout: 600_000, health },
        },
      },
      { end: false },
    );
    const { lease } = await connect(pool, 'a', { owner: 'o' });
    await pass(110_000);
    expect(stuck()).toEqual([]);
    await pass(120_000);
    expect(stuck()).toMatchObject([{ kind: 'lease', name: 'a', leaseId: lease.id, owner: 'o' }]);
    launcher.auto = { ...launcher.auto, initialize: false };
    const starting = pool.getServer('b', { timeout: 600_000 }).catch(() => {});
    await flush();
    await pass(120_000);
    expect(stuck().slice(1)).toMatchObject([{ kind: 'start', name: 'b' }]);
    const removing = pool.removeServer('a', { timeout: 0 });
    await pass(5_000);
    const ending = stuck().length;
    await pass(120_000);
    expect(stuck().slice(ending)).toMatchObject([{ kind: 'cleanup', name: 'a' }]);
    await pass(120_000);
    expect(stuck()).toHaveLength(ending + 1);
    for (const server of launcher.living) server.exit();
    await Promise.all([removing.catch(() => {}), starting]);
  });

  it('[STUCK-1] says nothing of what is answered, released and ended in time', async () => {
    const { pool, pass, stuck } = setUp({
      servers: { a: { ...shared, leaseIdleTimeout: 60_000, health: { stuckAfter: 60_000 } } },
    });
    const lease = await pool.getServer('a');
    const client = await RawClient.connect(lease.transport);
    for (let time = 0; time < 600_000; time += 30_000) {
      await client.request('tools/call', { name: 'x' });
      await pass(30_000);
    }
    lease.release();
    await pass(600_000);
    expect(stuck()).toEqual([]);
  });
});

describe('the alert of what is stuck', () => {
  const LASTS = 120_000;

  it('[STUCK-1] [ALERT-9] holds for as long as a request does not end, and not for longer', async () => {
    const { pool, launcher, pass, stuck } = setUp({ servers: { a: { ...shared, health: { check: false } } } });
    const [raised, resolved] = [record(pool, 'alert:raised'), record(pool, 'alert:resolved')];
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = () => undefined;
    const answer = client.request('tools/call', { name: 'slow' });
    await flush();
    for (let minute = 0; minute < 300; minute++) await pass(60_000);
    expect([raised, resolved]).toMatchObject([[{ kind: 'stuck', subject: { name: 'a', part: 'request' } }], []]);
    expect(pool.alerts.active()).toMatchObject([{ kind: 'stuck', holds: true }]);
    expect(stuck()).toHaveLength(1);
    const { id } = launcher.last.received.findLast(({ method }) => method === 'tools/call') ?? expect.fail();
    launcher.last.answer(id as number, {});
    await answer;
    await pass(LASTS + 1);
    expect(resolved).toMatchObject([{ kind: 'stuck', reason: 'ended' }]);
    expect(pool.alerts.active()).toEqual([]);
  });

  it('[STUCK-1] [ALERT-9] is none after a call that was late, and told to no further tier', async () => {
    const told: number[] = [];
    const tiers = [0, 900_000].map((after) => ({
      after,
      notify: ({ tier }: { tier: number }) => void told.push(tier),
    }));
    const { pool, launcher, pass } = setUp({
      servers: { a: { ...shared, health: { check: false } } },
      alerts: { tiers },
    });
    const { client } = await connect(pool, 'a');
    launcher.last.onRequest = () => undefined;
    const answer = client.request('tools/call', { name: 'slow' });
    await pass(360_000);
    const { id } = launcher.last.received.findLast(({ method }) => method === 'tools/call') ?? expect.fail();
    launcher.last.answer(id as number, {});
    await answer;
    for (let minute = 0; minute < 60; minute++) await pass(60_000);
    expect(told.includes(2)).toBe(false);
    expect(pool.alerts.active()).toEqual([]);
  });
});
