import { describe, expect, it } from 'vitest';
import { setUpSequence, statesOf } from '../helpers/steps.js';

describe('a start', () => {
  it('[SEQ-1] begins each step as soon as what it needs is ready', async () => {
    const { manager, world, within } = setUpSequence({
      app: { dependsOn: ['db', 'cache'], starts: 10 },
      db: { starts: 100, readies: 50 },
      cache: { starts: 30 },
      worker: { dependsOn: ['cache'], starts: 5 },
    });
    const report = await within(1_000, manager.start());
    expect(world.take()).toEqual([
      '0 start db',
      '0 start cache',
      '30 up cache',
      '30 start worker',
      '35 up worker',
      '100 up db',
      '150 ready db',
      '150 start app',
      '160 up app',
    ]);
    expect(report).toMatchObject({
      state: 'ready',
      waves: [
        ['db', 'cache'],
        ['app', 'worker'],
      ],
      criticalPath: ['db', 'app'],
      survivors: [],
      error: undefined,
    });
    expect(report.steps.map(({ id, attempts, duration }) => [id, attempts, duration])).toEqual([
      ['app', 1, 10],
      ['db', 1, 150],
      ['cache', 1, 30],
      ['worker', 1, 5],
    ]);
    await within(1_000, manager.stop());
  });

  it('[SEQ-1] takes as long as its longest path, not as the sum of its steps', async () => {
    const steps = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [
        `s${index}`,
        { starts: 100, dependsOn: index % 5 === 0 ? [] : [`s${index - 1}`] },
      ]),
    );
    const { manager, within } = setUpSequence(steps);
    const report = await within(10_000, manager.start());
    expect(report).toMatchObject({ state: 'ready', duration: 500 });
    expect(report.waves.map((wave) => wave.length)).toEqual([4, 4, 4, 4, 4]);
    expect(report.criticalPath).toHaveLength(5);
    await within(1_000, manager.stop());
  });

  it('[SEQ-1] never begins more steps at once than concurrency, those on the longest remaining path first', async () => {
    const { manager, world, within } = setUpSequence(
      {
        lonely: { starts: 10 },
        short: { starts: 10 },
        afterShort: { starts: 10, dependsOn: ['short'] },
        long: { starts: 10 },
        afterLong: { starts: 10, dependsOn: ['long'] },
        last: { starts: 10, dependsOn: ['afterLong'] },
      },
      { concurrency: 2 },
    );
    const report = await within(1_000, manager.start());
    expect(world.take().filter((line) => line.includes('start'))).toEqual([
      '0 start long',
      '0 start short',
      '10 start afterLong',
      '10 start lonely',
      '20 start afterShort',
      '20 start last',
    ]);
    expect(world.mostStarting).toBe(2);
    const lonely = report.steps.find(({ id }) => id === 'lonely');
    expect(lonely?.waitedFor).toEqual([{ on: 'place', id: undefined, duration: 10 }]);
    await within(1_000, manager.stop());
  });

  it('[SEQ-2] waits until a dependency has started, is ready, or is healthy, as asked', async () => {
    const { manager, world, within } = setUpSequence({
      db: { starts: 10, readies: 20, heals: 30 },
      early: { dependsOn: { db: { condition: 'started' } } },
      usual: { dependsOn: { db: {} } },
      late: { dependsOn: { db: { condition: 'healthy' } } },
    });
    expect(statesOf(await within(1_000, manager.start()))).toEqual({
      db: 'ready',
      early: 'ready',
      usual: 'ready',
      late: 'ready',
    });
    expect(world.take().filter((line) => line.includes('start'))).toEqual([
      '0 start db',
      '10 start early',
      '30 start usual',
      '60 start late',
    ]);
    await within(1_000, manager.stop());
  });

  it('[SEQ-2] proves a step to work only when another waits for that', async () => {
    const { manager, world, within } = setUpSequence({ db: { heals: 10 }, app: { dependsOn: ['db'] } });
    await within(1_000, manager.start());
    expect(world.take()).not.toContain('10 healthy db');
    manager.add([world.step('late', { dependsOn: { db: { condition: 'healthy' } } })]);
    expect(await within(1_000, manager.start())).toMatchObject({ state: 'ready', duration: 10 });
    await within(1_000, manager.stop());
  });

  it('[SEQ-2] goes on without a dependency that is not required, but not before it is known to be missing', async () => {
    const { manager, world, within } = setUpSequence({
      cache: { starts: 50, fails: 1, required: false },
      app: { dependsOn: { cache: { required: false } } },
    });
    const report = await within(1_000, manager.start());
    expect(report.state).toBe('degraded');
    expect(statesOf(report)).toEqual({ cache: 'failed: error', app: 'ready' });
    expect(world.take()).toEqual(['0 start cache', '50 failed cache', '50 start app', '50 up app']);
    await within(1_000, manager.stop());
  });

  it('[SEQ-1] brings up only what is named and what that needs; what is up stays as it is', async () => {
    const { manager, world, within } = setUpSequence({
      db: {},
      app: { dependsOn: ['db'] },
      other: {},
    });
    const first = await within(10, manager.start({ only: ['app'] }));
    expect(first.steps.map(({ id }) => id)).toEqual(['db', 'app']);
    expect(manager.plan('start').waves).toEqual([['db', 'other'], ['app']]);
    const second = await within(10, manager.start());
    expect(second.state).toBe('ready');
    expect(world.take().filter((line) => line.includes('start'))).toEqual([
      '0 start db',
      '0 start app',
      '10 start other',
    ]);
    await within(1_000, manager.stop());
  });

  it('[SEQ-1] beside another one starts what both need once, and takes down only what no other needs', async () => {
    const { manager, clock, world, within } = setUpSequence({
      db: { starts: 100 },
      app: { dependsOn: ['db'], starts: 10 },
      bad: { dependsOn: ['db'], starts: 5, fails: 1 },
      other: { starts: 200 },
    });
    const failed = manager.start({ only: ['bad', 'other'] });
    const app = manager.start({ only: ['app'] });
    const late = manager.start({ only: ['db'], timeout: 50 });
    expect(await within(50, late)).toMatchObject({
      state: 'failed',
      duration: 50,
      steps: [{ id: 'db', state: 'starting' }],
    });
    expect(await within(55, failed)).toMatchObject({ state: 'failed', duration: 105 });
    expect(await within(5, app)).toMatchObject({ state: 'ready', duration: 110 });
    expect(world.take()).toEqual([
      '0 start db',
      '0 start other',
      '100 up db',
      '100 start app',
      '100 start bad',
      '105 failed bad',
      '105 aborted other',
      '110 up app',
    ]);
    // What one start has brought up no other takes down.
    const abort = new AbortController();
    const aborted = manager.start({ signal: abort.signal });
    await clock.advanceAndFlush(50);
    abort.abort();
    expect(await within(10, aborted)).toMatchObject({ state: 'failed' });
    expect([...world.living.keys()].sort()).toEqual(['app', 'db']);
    await within(1_000, manager.stop());
    expect(world.living.size).toBe(0);
  });

  it('[SEQ-1] that is called during a stop begins after it, within its own time', async () => {
    const { manager, world, within } = setUpSequence({ db: { stops: 100 }, other: { starts: 10 } });
    await within(0, manager.start({ only: ['db'] }));
    const first = manager.stop();
    const second = manager.start({ only: ['other'] });
    const late = manager.start({ timeout: 50 });
    const abort = new AbortController();
    const aborted = manager.start({ signal: abort.signal });
    abort.abort(new Error('enough'));
    expect(await within(0, aborted)).toMatchObject({ state: 'failed', error: { code: 'SEQUENCE_ABORTED' } });
    expect(await within(60, late)).toMatchObject({ state: 'failed', error: { code: 'SEQUENCE_TIMEOUT' } });
    expect(await within(1_000, first)).toMatchObject({ state: 'stopped', duration: 100 });
    expect(await second).toMatchObject({ state: 'ready', duration: 110 });
    expect(world.take().slice(2)).toEqual(['0 stop db', '100 gone db', '100 start other', '110 up other']);
    await within(1_000, manager.stop());
  });

  it('[SEQ-10] says what each step waits for, and for how long', async () => {
    const { manager, clock, of, within } = setUpSequence(
      {
        db: { starts: 100, fails: 1, retries: 1 },
        app: { dependsOn: ['db'] },
        other: { starts: 300 },
        third: { starts: 10 },
      },
      { concurrency: 2 },
    );
    const started = manager.start();
    await clock.advanceAndFlush(50);
    expect(manager.status().state).toBe('starting');
    const waitsOf = () => Object.fromEntries(manager.status().steps.map(({ id, waitsFor }) => [id, waitsFor]));
    expect(waitsOf()).toEqual({
      db: [],
      app: [{ on: 'step', id: 'db', duration: 50 }],
      other: [],
      third: [{ on: 'place', duration: 50 }],
    });
    expect(of('step:waiting').map(({ id }) => id)).toEqual(['app', 'third']);
    await clock.advanceAndFlush(75);
    expect(waitsOf().db).toEqual([{ on: 'backoff', duration: 25 }]);
    expect(of('step:retrying')).toMatchObject([{ id: 'db', attempt: 1, delay: 100, reason: 'error' }]);
    const report = await within(1_000, started);
    const waitedBy = (id: string) => report.steps.find((step) => step.id === id)?.waitedFor;
    expect(waitedBy('app')).toEqual([{ on: 'step', id: 'db', duration: 300 }]);
    expect(waitedBy('db')).toEqual([{ on: 'backoff', id: undefined, duration: 100 }]);
    expect(waitedBy('third')).toEqual([{ on: 'place', id: undefined, duration: 100 }]);
    await within(1_000, manager.stop());
  });

  it('[SEQ-10] is planned as it is done', async () => {
    const { manager, within } = setUpSequence({
      db: {},
      cache: {},
      app: { dependsOn: ['db', 'cache'] },
      web: { dependsOn: ['app'] },
    });
    const plan = manager.plan();
    expect(plan).toEqual({ waves: [['db', 'cache'], ['app'], ['web']], criticalPath: ['db', 'app', 'web'] });
    expect(manager.plan('shutdown')).toEqual({ waves: [], criticalPath: [] });
    expect((await within(10, manager.start())).waves).toEqual(plan.waves);
    const down = manager.plan('shutdown');
    expect(down).toEqual({ waves: [['web'], ['app'], ['db', 'cache']], criticalPath: ['web', 'app', 'db'] });
    expect(manager.plan('shutdown', { only: ['app'] }).waves).toEqual([['web'], ['app']]);
    expect((await within(10, manager.stop())).waves).toEqual(down.waves);
  });
});
