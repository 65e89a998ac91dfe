import { describe, expect, it } from 'vitest';
import { runRecoveryDrill } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { failStart, setUp } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { record } from '../helpers/real-pool.js';
import { flush } from '../helpers/until.js';

const COOLDOWN = 60_000;
const server = { command: 'fake', restart: { maxRestarts: 0, cooldown: COOLDOWN } };
const one = { tenant: 't', env: { KEY: 'secret-one' } };
const two = { tenant: 't', env: { KEY: 'secret-two' } };

describe('breakers of calls with other values', () => {
  it('[TENANT-8] are told apart by a mark, which says nothing of the values', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } }, { initialize: false });
    const opened = record(pool, 'breaker:opened');
    const halfOpened = record(pool, 'breaker:half-opened');
    const closed = record(pool, 'breaker:closed');
    for (const scope of [one, two, { tenant: 't' }]) await failStart(pool, launcher, scope);
    const marks = opened.map(({ variant }) => variant);
    expect(marks).toEqual([expect.stringMatching(/^[\w-]{12}$/), expect.stringMatching(/^[\w-]{12}$/), undefined]);
    expect(marks[0]).not.toBe(marks[1]);
    expect(pool.status().servers.a?.breakers.map(({ variant }) => variant)).toEqual(marks);
    clock.advance(COOLDOWN);
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.getServer('a', one);
    expect([...halfOpened, ...closed]).toMatchObject([{ variant: marks[0] }, { variant: marks[0] }]);
    expect(JSON.stringify([opened, closed, pool.status()])).not.toContain('secret');
  });

  it('[ALERT-9] one that is closed is no end of the alert of another of the same tenant', async () => {
    const { pool, launcher, clock } = setUp({ servers: { a: server } }, { initialize: false });
    for (const scope of [one, two]) await failStart(pool, launcher, scope);
    clock.advance(COOLDOWN);
    launcher.auto = { ...launcher.auto, initialize: true };
    await pool.getServer('a', one);
    const breaker = () => pool.alerts.active().find(({ kind }) => kind === 'breaker-open');
    expect(breaker()).toMatchObject({ holds: true });
    await pool.getServer('a', two);
    expect(breaker()).toMatchObject({ holds: false });
  });
});

describe('a drill of an instance with values', () => {
  it.each([
    ['a function', () => ({ KEY: 'k' })],
    ['variables', { KEY: 'k' }],
  ])('[DRILL-1] of perTenant, which are %s, starts one with the same', async (_what, env) => {
    let calls = 0;
    const perTenant = () => {
      calls += 1;
      return { env };
    };
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake', perTenant } } });
    (await pool.getServer('a', { tenant: 't' })).release();
    const report = await runRecoveryDrill(pool, { server: 'a', fault: 'kill' });
    await flush(10);
    expect(report).toMatchObject({ verdict: 'passed', restored: true, notes: [] });
    expect(calls).toBe(1);
    const again = await pool.getServer('a', { tenant: 't' });
    expect(again.instanceId).toBe(report.newInstanceId);
    expect(launcher.servers).toHaveLength(2);
    again.release();
    assertInsides(partsOf(pool));
  });
});
