import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/index.js';
import { setUpSequence, statesOf } from '../helpers/steps.js';

describe('a step that cannot be started', () => {
  it('[SEQ-4] and is optional skips what needs it, at once; the rest goes on', async () => {
    const { manager, within, of } = setUpSequence({
      plugin: { required: false, starts: 10, fails: 1 },
      view: { required: false, dependsOn: ['plugin'] },
      detail: { required: false, dependsOn: ['view'] },
      app: { starts: 100 },
    });
    const report = await within(1_000, manager.start());
    expect(report).toMatchObject({ state: 'degraded', duration: 100, error: undefined });
    expect(statesOf(report)).toEqual({
      plugin: 'failed: error',
      view: 'skipped: dependency-failed',
      detail: 'skipped: dependency-failed',
      app: 'ready',
    });
    const [plugin, view, detail] = report.steps;
    expect(plugin?.error).toMatchObject({ code: 'STEP_FAILED', data: { name: 'plugin' } });
    expect(view?.error).toMatchObject({ code: 'DEPENDENCY_FAILED', data: { name: 'plugin' }, cause: plugin?.error });
    expect(detail?.error).toMatchObject({ code: 'DEPENDENCY_FAILED', data: { name: 'view' }, cause: plugin?.error });
    expect(of('step:skipped').map(({ id }) => id)).toEqual(['view', 'detail']);
    expect(of('sequence:degraded')).toEqual([report]);
    await within(10, manager.stop());
  });

  it('[SEQ-4] and is required takes down what is up, aborts what is starting, and skips what has not begun', async () => {
    const { manager, world, within, of } = setUpSequence({
      db: { stops: 5 },
      api: { dependsOn: ['db'], starts: 10, stops: 5 },
      slow: { dependsOn: ['db'], starts: 1_000 },
      bad: { dependsOn: ['db'], starts: 50, fails: 1 },
      web: { dependsOn: ['slow', 'api'] },
    });
    const report = await within(1_000, manager.start());
    expect(world.take()).toEqual([
      '0 start db',
      '0 up db',
      '0 start api',
      '0 start slow',
      '0 start bad',
      '10 up api',
      '50 failed bad',
      '50 stop api',
      '50 aborted slow',
      '55 gone api',
      '55 stop db',
      '60 gone db',
    ]);
    expect(world.living.size).toBe(0);
    expect(report).toMatchObject({
      state: 'failed',
      duration: 60,
      criticalPath: ['db', 'bad'],
      error: { code: 'STEP_FAILED', data: { name: 'bad' } },
    });
    expect(statesOf(report)).toEqual({
      db: 'stopped: sequence-failed',
      api: 'stopped: sequence-failed',
      slow: 'failed: sequence-failed',
      bad: 'failed: error',
      web: 'skipped: sequence-failed',
    });
    expect(of('sequence:failed')).toEqual([report]);
    expect(manager.status().state).toBe('failed');
  });

  it('[SEQ-4] keeps what is up if asked', async () => {
    const { manager, world, within } = setUpSequence(
      { db: {}, slow: { starts: 100 }, bad: { starts: 10, fails: 1 }, app: { dependsOn: ['db', 'slow'] } },
      { onFailure: 'keep' },
    );
    const report = await within(1_000, manager.start());
    expect(statesOf(report)).toEqual({
      db: 'ready',
      slow: 'failed: sequence-failed',
      bad: 'failed: error',
      app: 'skipped: sequence-failed',
    });
    expect([...world.living.keys()]).toEqual(['db']);
    // Another start goes on from there.
    expect(await within(1_000, manager.start())).toMatchObject({ state: 'ready' });
    expect(world.take().filter((line) => line.endsWith('start db'))).toHaveLength(1);
    await within(10, manager.stop());
  });

  it('[SEQ-4] leaves what an earlier start has brought up', async () => {
    const { manager, world, within } = setUpSequence({ db: {}, bad: { dependsOn: ['db'], fails: 1 } });
    await within(10, manager.start({ only: ['db'] }));
    expect(await within(10, manager.start())).toMatchObject({ state: 'failed' });
    expect([...world.living.keys()]).toEqual(['db']);
    expect(await within(10, manager.start())).toMatchObject({ state: 'ready' });
    await within(10, manager.stop());
  });

  it('[SEQ-4] and is optional fails a required one that needs it', async () => {
    const { manager, within } = setUpSequence({
      cache: { required: false, fails: 1 },
      app: { dependsOn: ['cache'] },
      other: { starts: 100 },
    });
    const report = await within(1_000, manager.start());
    expect(report).toMatchObject({ state: 'failed', error: { code: 'DEPENDENCY_FAILED', data: { name: 'cache' } } });
    expect(statesOf(report)).toEqual({
      cache: 'failed: error',
      app: 'skipped: dependency-failed',
      other: 'failed: sequence-failed',
    });
  });

  it('[SEQ-4] is stopped when it is not ready after its start', async () => {
    const { manager, world, within } = setUpSequence({
      db: { starts: 10, readies: 5, unready: 1, stops: 3 },
      early: { dependsOn: { db: { condition: 'started' } }, stops: 2 },
    });
    const report = await within(1_000, manager.start());
    expect(world.take()).toEqual([
      '0 start db',
      '10 up db',
      '10 start early',
      '10 up early',
      '15 stop early',
      '17 gone early',
      '17 stop db',
      '20 gone db',
    ]);
    expect(statesOf(report)).toEqual({ db: 'failed: error', early: 'stopped: sequence-failed' });
  });

  it('[SEQ-4] may say itself that it was not started: that fails no start, but what needs it', async () => {
    const { manager, within } = setUpSequence({
      extra: { result: { skipped: 'no-slot' } },
      needsIt: { required: false, dependsOn: ['extra'] },
      app: {},
    });
    const report = await within(10, manager.start());
    expect(report.state).toBe('degraded');
    expect(statesOf(report)).toEqual({
      extra: 'skipped: no-slot',
      needsIt: 'skipped: dependency-failed',
      app: 'ready',
    });
    await within(10, manager.stop());
  });

  it('[SEQ-14] keeps an error of this library, and any other value as the cause', async () => {
    const own = new PoolError('COMMAND_NOT_FOUND', 'there is none');
    const { manager, world, within } = setUpSequence({});
    manager.add([
      { id: 'own', required: false, start: () => Promise.reject(own) },
      {
        id: 'sync',
        required: false,
        start: () => {
          throw 'a word';
        },
      },
      { id: 'odd', required: false, start: () => Promise.reject(Object.create(null)) },
    ]);
    const { steps } = await within(10, manager.start());
    expect(steps[0]?.error).toBe(own);
    expect(steps[1]?.error).toMatchObject({ code: 'STEP_FAILED', cause: 'a word' });
    expect(steps[2]?.error).toMatchObject({ code: 'STEP_FAILED' });
    expect(JSON.parse(JSON.stringify(steps))[1].error).toMatchObject({ code: 'STEP_FAILED', cause: 'a word' });
    expect(world.living.size).toBe(0);
  });
});

describe('a step with retries', () => {
  it('[SEQ-5] is tried again after pauses that grow', async () => {
    const { manager, world, within, of } = setUpSequence({
      db: { starts: 10, fails: 3, retries: 3, backoff: { minDelay: 100, maxDelay: 150 } },
    });
    const report = await within(1_000, manager.start());
    expect(world.take().filter((line) => line.includes('start'))).toEqual([
      '0 start db',
      '110 start db',
      '270 start db',
      '430 start db',
    ]);
    expect(of('step:retrying').map(({ delay }) => delay)).toEqual([100, 150, 150]);
    expect(report.steps[0]).toMatchObject({ state: 'ready', attempts: 4, duration: 440, reason: undefined });
    await within(10, manager.stop());
  });

  it('[SEQ-5] has failed when none is left', async () => {
    const { manager, within } = setUpSequence({ db: { fails: 3, retries: 2 } });
    expect((await within(1_000, manager.start())).steps[0]).toMatchObject({
      state: 'failed',
      attempts: 3,
      reason: 'error',
    });
  });

  it('[SEQ-5] is not waited for when the pause would outlast the start', async () => {
    const { manager, within } = setUpSequence({
      db: { starts: 10, fails: 9, retries: 9, backoff: { minDelay: 100, maxDelay: 10_000 } },
    });
    const report = await within(1_000, manager.start({ timeout: 500 }));
    expect(report).toMatchObject({ state: 'failed', duration: 330, error: { code: 'STEP_FAILED' } });
    expect(report.steps[0]).toMatchObject({ state: 'failed', attempts: 3 });
  });

  it('[SEQ-5] has its timeout for each attempt, and is stopped after one that was late', async () => {
    const { manager, world, within } = setUpSequence({
      db: { starts: 10, readies: Infinity, timeout: 50, retries: 1, stops: 5 },
    });
    const report = await within(1_000, manager.start());
    expect(world.take()).toEqual([
      '0 start db',
      '10 up db',
      '50 stop db',
      '55 gone db',
      '155 start db',
      '165 up db',
      '205 stop db',
      '210 gone db',
    ]);
    expect(report.steps[0]).toMatchObject({ state: 'failed', reason: 'timeout', error: { code: 'STEP_TIMEOUT' } });
  });

  it('[SEQ-5] is tried again when it is not healthy', async () => {
    const { manager, world, within } = setUpSequence({
      db: { heals: 10, unhealthy: 1, retries: 1 },
      app: { dependsOn: { db: { condition: 'healthy' } } },
      early: { dependsOn: ['db'] },
    });
    expect(await within(1_000, manager.start())).toMatchObject({ state: 'ready' });
    expect(world.take()).toEqual([
      '0 start db',
      '0 up db',
      '0 start early',
      '0 up early',
      '10 stop early',
      '10 gone early',
      '10 stop db',
      '10 gone db',
      '110 start db',
      '110 up db',
      '110 start early',
      '110 up early',
      '120 healthy db',
      '120 start app',
      '120 up app',
    ]);
    await within(10, manager.stop());
  });
});

describe('a start that is given up', () => {
  const fakes = {
    db: { starts: 20, stops: 10 },
    api: { dependsOn: ['db'], starts: 20, readies: 20, stops: 10 },
    web: { dependsOn: ['api'], starts: 20, stops: 10 },
    side: { starts: 90, fails: 1, retries: 1, stops: 10 },
  };

  it.each(Array.from({ length: 30 }, (_, index) => index * 10))(
    '[SEQ-6] after %i ms by its signal leaves nothing',
    async (after) => {
      const { manager, clock, world, within } = setUpSequence(fakes);
      const abort = new AbortController();
      const started = manager.start({ signal: abort.signal });
      await clock.advanceAndFlush(after);
      abort.abort(new Error('enough'));
      const report = await within(1_000, started);
      if (after >= 280) {
        expect(report.state).toBe('ready');
        await within(1_000, manager.stop());
      } else {
        expect(report).toMatchObject({
          state: 'failed',
          error: { code: 'SEQUENCE_ABORTED', cause: new Error('enough') },
        });
        expect(report.duration).toBeLessThanOrEqual(after + 30);
      }
      expect([...world.living.keys()]).toEqual([]);
      expect(world.starting.size).toBe(0);
    },
  );

  it.each(Array.from({ length: 22 }, (_, index) => index * 10))(
    '[SEQ-6] after %i ms by stop() leaves nothing, and both calls resolve',
    async (after) => {
      const { manager, clock, world, within, of } = setUpSequence(fakes);
      const started = manager.start();
      await clock.advanceAndFlush(after);
      const stopped = await within(1_000, manager.stop());
      expect(await started).toMatchObject({ state: 'failed', error: { code: 'SEQUENCE_ABORTED' } });
      expect(stopped).toMatchObject({ state: 'stopped', survivors: [] });
      expect([...world.living.keys()]).toEqual([]);
      expect(manager.status().state).toBe('stopped');
      expect(of('sequence:stopped')).toHaveLength(1);
    },
  );

  it('[SEQ-6] by its signal before it has begun begins nothing', async () => {
    const { manager, world, within } = setUpSequence(fakes);
    const report = await within(0, manager.start({ signal: AbortSignal.abort() }));
    expect(report.state).toBe('failed');
    expect(world.take()).toEqual([]);
    expect(manager.status().state).toBe('idle');
  });

  it('[SEQ-6] at its deadline fails for a required step, and goes on without an optional one', async () => {
    const required = setUpSequence({ db: {}, slow: { dependsOn: ['db'], starts: 1_000 } });
    const failed = await required.within(200, required.manager.start({ timeout: 100 }));
    expect(failed).toMatchObject({
      state: 'failed',
      duration: 100,
      error: { code: 'SEQUENCE_TIMEOUT', data: { name: 'slow' } },
    });
    expect(statesOf(failed)).toEqual({ db: 'stopped: deadline', slow: 'failed: deadline' });

    const optional = setUpSequence({
      db: {},
      slow: { required: false, starts: 1_000 },
      after: { required: false, dependsOn: ['slow'] },
    });
    const degraded = await optional.within(200, optional.manager.start({ timeout: 100 }));
    expect(degraded).toMatchObject({ state: 'degraded', duration: 100 });
    expect(statesOf(degraded)).toEqual({ db: 'ready', slow: 'failed: deadline', after: 'skipped: deadline' });
    await optional.within(10, optional.manager.stop());
  });

  it('[SEQ-6] stops a step that comes up all the same', async () => {
    const { manager, world, within } = setUpSequence({ db: { starts: 100, deaf: ['start'] } });
    expect(await within(1_000, manager.start({ timeout: 50 }))).toMatchObject({ state: 'failed', survivors: [] });
    expect(world.take()).toEqual(['0 start db', '100 up db', '100 stop db', '100 gone db']);
  });

  it('[SEQ-6] hurries a step whose start does not come back, and reports it; what comes later is stopped', async () => {
    const { manager, clock, world, within } = setUpSequence(
      { db: { starts: 5_000, deaf: ['start'] } },
      { shutdownTimeout: 1_000 },
    );
    const report = await within(2_000, manager.start({ timeout: 50 }));
    expect(report).toMatchObject({ state: 'failed', duration: 1_050, survivors: ['db'] });
    expect(report.steps[0]).toMatchObject({
      state: 'stop-failed',
      reason: 'stop-timeout',
      error: { code: 'STEP_TIMEOUT' },
    });
    // It is not started a second time as long as it may come.
    expect(await within(10, manager.start())).toMatchObject({ state: 'failed', survivors: ['db'] });
    await clock.advanceAndFlush(5_000);
    expect(world.take()).toEqual([
      '0 start db',
      '800 kill db',
      '800 gone db',
      '5000 up db',
      '5000 kill db',
      '5000 gone db',
    ]);
    expect(manager.status().steps[0]?.state).toBe('stopped');
    expect(world.living.size).toBe(0);
  });
});
