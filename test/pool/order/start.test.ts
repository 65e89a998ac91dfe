import { describe, expect, it } from 'vitest';
import type { PoolOptions, StartProgress } from '../../../src/index.js';
import { codeOf, setUp } from '../../helpers/fake-pool.js';
import { launched, living } from '../../helpers/order.js';
import { flush, rejection } from '../../helpers/until.js';

const server = (options: object = {}) => ({ command: 'fake', ...options });

const SERVERS: PoolOptions['servers'] = {
  app: server({ dependsOn: ['api', 'cache'] }),
  api: server({ dependsOn: { db: { condition: 'started' } } }),
  cache: server(),
  db: server(),
  lonely: server(),
  tool: server({ autoStart: false }),
};

/** The states of the steps of a report. */
const statesOf = ({ steps }: { steps: readonly { id: string; state: string }[] }) =>
  Object.fromEntries(steps.map(({ id, state }) => [id, state]));

describe('pool.start()', () => {
  it('[SEQ-18] brings up what is defined, in waves, and tells how far it is', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS });
    const progress: StartProgress[] = [];
    const report = await pool.start({ onProgress: (one) => void progress.push(one) });
    expect(report.state).toBe('ready');
    expect(report.waves.map((wave) => [...wave].sort())).toEqual([['cache', 'db', 'lonely'], ['api'], ['app']]);
    expect(report.criticalPath.at(-1)).toBe('app');
    expect(living(launcher)).toEqual(['api', 'app', 'cache', 'db', 'lonely']);
    expect(progress.filter(({ state }) => state === 'starting')).toHaveLength(5);
    expect(progress.at(-1)).toEqual({ name: 'app', state: 'ready', ready: 5, total: 5 });
    // The first caller gets what is there, whatever its owner.
    (await pool.getServer('app', { owner: 'O' })).release();
    expect(launcher.servers).toHaveLength(5);
    expect((await pool.start()).state).toBe('ready');
    expect(launcher.servers).toHaveLength(5);
  });

  it('[SEQ-18] brings up what it is told to, with what that needs', async () => {
    const { launcher, pool } = setUp({ servers: SERVERS });
    expect((await pool.start({ only: ['api', 'tool'] })).state).toBe('ready');
    expect(living(launcher)).toEqual(['api', 'db', 'tool']);
    const error = await rejection(pool.start({ only: ['apii', 'something'] }));
    expect(error).toMatchObject({
      code: 'INVALID_OPTIONS',
      data: {
        problems: [
          "only must name servers, got 'apii'; did you mean 'api'?",
          "only must name servers, got 'something'",
        ],
      },
    });
    await pool.shutdown();
    expect(await codeOf(pool.start())).toBe('POOL_CLOSED');
  });

  it('[SEQ-18] fails with the error of a server that ends after it was spawned, though nothing depends on it', async () => {
    const { clock, launcher, pool } = setUp({ servers: { db: server(), lonely: server() } });
    launcher.auto = { ...launcher.auto, initialize: false };
    const starting = pool.start();
    for (let times = 0; times < 10; times++) {
      for (const one of launcher.livingOf('db')) one.initialize();
      for (const one of launcher.livingOf('lonely')) one.exit({ exitCode: 127 });
      clock.advance(100);
      await flush();
    }
    const report = await starting;
    expect([report.state, report.error?.code]).toEqual(['failed', 'SERVER_EXITED']);
    expect(launched(launcher).filter((name) => name === 'lonely')).toHaveLength(2);
    expect([living(launcher), report.survivors]).toEqual([[], []]);
  });

  it('[SEQ-18] leaves nothing when a server that is required cannot be started', async () => {
    const { clock, launcher, pool } = setUp({ servers: SERVERS });
    launcher.onLaunch = ({ name }) => {
      if (name === 'api') throw new Error('no such file');
    };
    const starting = pool.start();
    await flush();
    clock.advance(1_000);
    await flush(50);
    const report = await starting;
    expect([report.state, report.error?.code]).toEqual(['failed', 'SPAWN_FAILED']);
    expect(statesOf(report)).toMatchObject({ api: 'failed', app: 'skipped', db: 'stopped', lonely: 'stopped' });
    expect([living(launcher), report.survivors]).toEqual([[], []]);
  });

  it('[SEQ-18] keeps the others when it is not required, or the caller says so', async () => {
    const { clock, launcher, pool } = setUp({
      servers: { ...SERVERS, lonely: server({ required: false }) },
    });
    launcher.onLaunch = ({ name }) => {
      if (name === 'lonely') throw new Error('no such file');
    };
    const starting = pool.start();
    await flush();
    clock.advance(1_000);
    expect((await starting).state).toBe('degraded');
    expect(living(launcher)).toEqual(['api', 'app', 'cache', 'db']);

    const second = setUp({ servers: SERVERS });
    second.launcher.onLaunch = launcher.onLaunch;
    const kept = second.pool.start({ onFailure: 'keep' });
    await flush();
    second.clock.advance(1_000);
    expect((await kept).state).toBe('failed');
    expect(living(second.launcher)).toContain('db');
  });

  it('[SEQ-18] aborted, or late, leaves nothing', async () => {
    for (const how of ['abort', 'timeout'] as const) {
      const { clock, launcher, pool } = setUp({ servers: SERVERS }, { initialize: false });
      const stop = new AbortController();
      const starting = pool.start({ signal: stop.signal, timeout: 5_000 });
      await flush();
      expect(launched(launcher).sort()).toEqual(['api', 'cache', 'db', 'lonely']);
      for (const one of launcher.livingOf('db')) one.initialize();
      await flush();
      if (how === 'abort') stop.abort();
      else clock.advance(5_000);
      const report = await starting;
      expect([report.state, report.error?.code]).toEqual([
        'failed',
        how === 'abort' ? 'SEQUENCE_ABORTED' : 'SEQUENCE_TIMEOUT',
      ]);
      expect(living(launcher)).toEqual([]);
    }
  });

  it('[SEQ-19] skips servers that nothing depends on when no slot is left for them', async () => {
    for (const [maxProcesses, skipped] of [
      [4, ['app']],
      [3, ['app', 'lonely']],
    ] as const) {
      const { launcher, pool } = setUp({ servers: SERVERS, limits: { maxProcesses } });
      const report = await pool.start();
      expect(report.state).toBe('degraded');
      const without = report.steps.filter(({ reason }) => reason === 'no-slot');
      expect(without.map(({ id, state }) => `${id} ${state}`).sort()).toEqual(skipped.map((name) => `${name} skipped`));
      expect(living(launcher)).toHaveLength(maxProcesses);
    }
  });

  it('[SEQ-18] starts as many at the same time as limits.concurrentStarts allows', async () => {
    const { launcher, pool } = setUp(
      { servers: { a: server(), b: server(), c: server() }, limits: { concurrentStarts: 2 } },
      { initialize: false },
    );
    const starting = pool.start();
    await flush();
    expect(launcher.servers).toHaveLength(2);
    for (const one of launcher.living) one.initialize();
    await flush();
    launcher.last.initialize();
    expect((await starting).state).toBe('ready');
  });

  it('[SEQ-18] waits until the host has what limits.requires asks for', async () => {
    let freeMemoryMB = 10;
    const { clock, launcher, pool } = setUp(
      { servers: { a: server() }, limits: { requires: { freeMemoryMB: 100 } } },
      {},
      { read: async () => ({ freeMemoryMB }) },
    );
    const starting = pool.start();
    await flush();
    expect(launcher.servers).toHaveLength(0);
    freeMemoryMB = 1_000;
    for (let turn = 0; turn < 20 && launcher.servers.length === 0; turn++) {
      clock.advance(1_000);
      await flush();
    }
    expect((await starting).state).toBe('ready');
  });

  it('[SEQ-18] tells a fault of onProgress, and goes on', async () => {
    const { pool } = setUp({ servers: { a: server() } });
    const told: unknown[] = [];
    pool.on('listener:error', ({ event }) => told.push(event));
    const onProgress = () => {
      throw new Error('wrong');
    };
    expect((await pool.start({ onProgress })).state).toBe('ready');
    expect(told).toEqual(['onProgress', 'onProgress']);
  });
});

describe('minIdle and warm() of a server that depends on others', () => {
  it('[SEQ-18] start these first', async () => {
    const { launcher, pool } = setUp({
      servers: { app: server({ dependsOn: ['db'], minIdle: 1 }), db: server() },
    });
    await flush(20);
    expect(launched(launcher)).toEqual(['db', 'app']);
    expect(await pool.warm('app', { count: 2 })).toBe(2);
    expect(living(launcher)).toEqual(['app', 'app', 'db']);
    expect(await pool.warm('app', { tenant: 'T' })).toBe(1);
    expect(living(launcher)).toEqual(['app', 'app', 'app', 'db', 'db']);
  });
});
