import { describe, expect, it } from 'vitest';
import { MCPServerPool } from '../../../src/index.js';
import { setUp } from '../../helpers/fake-pool.js';
import { launched, living } from '../../helpers/order.js';
import { flush } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });

const SERVERS = {
  app: server({ dependsOn: ['api'] }),
  api: server({ dependsOn: ['db'] }),
  db: server(),
  other: server(),
};

describe('shutdown()', () => {
  it('[SEQ-22] ends a server when those that depend on it have ended, as plan() says before', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS }, { end: false });
    await pool.start();
    await pool.getServer('app', { tenant: 'T' });
    const ends = pool.plan('shutdown').ends.map(({ name, wave }) => `${wave} ${name}`);
    expect(ends.sort()).toEqual(['0 app', '0 app', '0 other', '1 api', '1 api', '2 db', '2 db']);
    const closing = pool.shutdown();
    const ending = () =>
      launcher.living
        .filter((one) => one.ending)
        .map(({ definition }) => definition.name)
        .sort();
    const finish = () => {
      for (const one of launcher.living) if (one.ending) one.exit();
    };
    await flush(20);
    expect(ending()).toEqual(['app', 'app', 'other']);
    finish();
    await flush(20);
    expect(ending()).toEqual(['api', 'api']);
    finish();
    await flush(20);
    expect(ending()).toEqual(['db', 'db']);
    finish();
    const report = await closing;
    expect([report.mode, report.waves.map((wave) => [...wave].sort()), report.survivors]).toEqual([
      'graceful',
      [['app', 'other'], ['api'], ['db']],
      [],
    ]);
    expect(launched(launcher)).toHaveLength(7);
  });

  it('[SEQ-22] hurries what exceeds its share of the time, and the last one has time left', async () => {
    const { clock, launcher, pool } = setUp({ servers: SERVERS }, { end: false });
    await pool.start({ only: ['app'] });
    const closing = pool.shutdown({ timeout: 9_000 });
    await flush(20);
    const [db, api, app] = launcher.servers;
    expect([app?.kills, api?.ends.length]).toEqual([0, 0]);
    clock.advance(3_000);
    await flush(20);
    expect(app?.kills).toBe(1);
    app?.exit();
    await flush(20);
    expect([api?.ends.map(({ mode }) => mode), api?.kills]).toEqual([['graceful'], 0]);
    clock.advance(3_000);
    await flush(20);
    api?.exit();
    await flush(20);
    expect([db?.ends.map(({ mode }) => mode), db?.kills]).toEqual([['graceful'], 0]);
    db?.exit();
    expect((await closing).survivors).toEqual([]);
  });

  it('[SEQ-22] in an emergency ends all at once', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS }, { end: false });
    await pool.start();
    expect(new Set(pool.plan('emergency').ends.map(({ wave }) => wave))).toEqual(new Set([0]));
    const closing = pool.shutdown();
    await flush(20);
    void pool.shutdown({ mode: 'emergency' });
    expect(launcher.living.map(({ kills }) => kills)).toEqual([1, 1, 1, 1]);
    for (const one of launcher.living) one.exit({ signal: 'SIGKILL' });
    expect((await closing).mode).toBe('emergency');
  });

  it('[SEQ-22] during a start ends that, too', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS }, { initialize: false });
    const starting = pool.start();
    await flush();
    const report = await pool.shutdown();
    expect([report.survivors, living(launcher), (await starting).state]).toEqual([[], [], 'failed']);
  });

  it('[SEQ-22] endAll() goes by it, and later calls start all again', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS });
    await pool.start();
    const report = await pool.endAll();
    expect(report.waves.map((wave) => [...wave].sort())).toEqual([['app', 'other'], ['api'], ['db']]);
    expect(living(launcher)).toEqual([]);
    (await pool.getServer('app')).release();
    expect(living(launcher)).toEqual(['api', 'app', 'db']);
  });
});

describe('the options', () => {
  it('[SEQ-23] that are wrong are refused at once, all in one error', () => {
    const make = () =>
      new MCPServerPool({
        servers: {
          a: server({ dependsOn: ['b', 'c', 'c'] }),
          b: server({ dependsOn: ['a', 'b'] }),
          c: server({ sharing: 'dedicated' }),
          d: server({ dependsOn: { e: { condition: 'up' } }, onDependencyExit: 'die', autoStart: 'no' }),
          f: server({ dependsOn: { g: { condition: 'healthy' } } }),
          g: server({ health: { check: false } }),
        },
      } as never);
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTIONS',
        data: {
          problems: [
            "servers.a.dependsOn must not name 'c' twice",
            "servers.d.onDependencyExit must be one of 'restart', 'hold', 'ignore', 'stop', got 'die'",
            'servers.d.autoStart must be true or false, got a string',
            "servers.d.dependsOn.e.condition must be one of 'ready', 'started', 'healthy', got 'up'",
            "servers.b.dependsOn must not name 'b' itself",
            "servers.d.dependsOn must name a server, got 'e'; did you mean 'a'?",
            "dependsOn must not lead in a circle: 'a' → 'b' → 'a'",
            "servers.a.dependsOn must not name 'c': it is dedicated, so each lease has a process of its own",
            "servers.f.dependsOn.g.condition must not be 'healthy': health.check of 'g' is false",
          ],
        },
      }),
    );
  });
});
