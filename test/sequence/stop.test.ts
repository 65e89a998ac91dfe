import { describe, expect, it } from 'vitest';
import { setUpSequence, statesOf } from '../helpers/steps.js';

const chain = {
  db: { stops: 10 },
  cache: { stops: 30 },
  app: { dependsOn: ['db', 'cache'], stops: 20 },
  worker: { dependsOn: ['cache'], stops: 5 },
};

describe('a stop', () => {
  it('[SEQ-8] goes in reverse order, each step as soon as what depends on it is gone', async () => {
    const { manager, world, within, of } = setUpSequence(chain);
    await within(10, manager.start());
    world.take();
    const report = await within(1_000, manager.stop());
    expect(world.take()).toEqual([
      '10 stop app',
      '10 stop worker',
      '15 gone worker',
      '30 gone app',
      '30 stop db',
      '30 stop cache',
      '40 gone db',
      '60 gone cache',
    ]);
    expect(report).toMatchObject({
      state: 'stopped',
      duration: 50,
      waves: [
        ['app', 'worker'],
        ['db', 'cache'],
      ],
      criticalPath: ['app', 'cache'],
      survivors: [],
    });
    expect(report.steps.map(({ id, state, duration, reason }) => [id, state, duration, reason])).toEqual([
      ['db', 'stopped', 10, 'asked'],
      ['cache', 'stopped', 30, 'asked'],
      ['app', 'stopped', 20, 'asked'],
      ['worker', 'stopped', 5, 'asked'],
    ]);
    expect(of('sequence:stopped')).toEqual([report]);
    expect(manager.status().state).toBe('stopped');
  });

  it('[SEQ-8] of some steps takes what depends on them, and no other', async () => {
    const { manager, world, within, of } = setUpSequence(chain);
    await within(10, manager.start());
    const report = await within(1_000, manager.stop({ only: ['db'] }));
    expect(statesOf(report)).toEqual({ db: 'stopped: asked', app: 'stopped: asked' });
    expect([...world.living.keys()].sort()).toEqual(['cache', 'worker']);
    expect(manager.status().state).toBe('ready');
    expect(of('sequence:stopped')).toEqual([]);
    await within(1_000, manager.stop({ only: ['cache'] }));
    expect(manager.status().state).toBe('stopped');
    expect(of('sequence:stopped')).toHaveLength(1);
  });

  it('[SEQ-8] divides its time by the depth that is left, and hurries what exceeds its share', async () => {
    const { manager, world, within } = setUpSequence({
      db: { stops: Infinity },
      api: { dependsOn: ['db'], stops: Infinity },
      web: { dependsOn: ['api'], stops: Infinity },
    });
    await within(10, manager.start());
    world.take();
    const report = await within(1_000, manager.stop({ timeout: 900 }));
    // Of 900 ms the first has 300, of which a quarter is kept for its hurry; what is left of it goes to the others.
    expect(world.take()).toEqual([
      '10 stop web',
      '235 hurry web',
      '235 gone web',
      '235 stop api',
      '488.125 hurry api',
      '488.125 gone api',
      '488.125 stop db',
      '804.53125 hurry db',
      '804.53125 gone db',
    ]);
    expect(report).toMatchObject({ state: 'stopped', survivors: [] });
  });

  it('[SEQ-8] is over in its time, and reports what it has left', async () => {
    const { manager, clock, world, within, of } = setUpSequence({
      db: { stops: 20 },
      deaf: { dependsOn: ['db'], stops: 10_000, deaf: ['stop'] },
      other: { stops: 20 },
    });
    await within(10, manager.start());
    world.take();
    const report = await within(2_000, manager.stop({ timeout: 1_000 }));
    expect(report).toMatchObject({ state: 'failed', survivors: ['deaf'] });
    expect(report.duration).toBe(520);
    expect(statesOf(report)).toEqual({
      db: 'stopped: asked',
      deaf: 'stop-failed: stop-timeout',
      other: 'stopped: asked',
    });
    expect(of('step:failed')).toMatchObject([{ id: 'deaf', error: { code: 'STEP_TIMEOUT' } }]);
    // The last wave has had its time.
    expect(world.take()).toEqual(['10 stop deaf', '10 stop other', '30 gone other', '510 stop db', '530 gone db']);
    await clock.advanceAndFlush(10_000);
    expect(manager.status().steps[1]?.state).toBe('stopped');
  });

  it('[SEQ-8] tries a step once more that could not be stopped', async () => {
    const { manager, world, within } = setUpSequence({
      db: { unstopped: 1 },
      app: { dependsOn: ['db'], unstopped: 3 },
    });
    await within(10, manager.start());
    world.take();
    const report = await within(10, manager.stop());
    expect(world.take()).toEqual(['10 stop app', '10 kill app', '10 stop db', '10 kill db', '10 gone db']);
    expect(report).toMatchObject({ state: 'failed', survivors: ['app'] });
    expect(report.steps[1]).toMatchObject({
      state: 'stop-failed',
      reason: 'stop-error',
      error: { code: 'STEP_FAILED' },
    });
    // It is there, so it is not started a second time; another stop tries again.
    expect(await within(10, manager.start())).toMatchObject({ state: 'failed' });
    expect(await within(10, manager.stop())).toMatchObject({ state: 'stopped', survivors: [] });
    expect(world.living.size).toBe(0);
  });

  it('[SEQ-9] in an emergency ends all at once', async () => {
    const { manager, world, within } = setUpSequence(chain);
    await within(10, manager.start());
    world.take();
    const report = await within(0, manager.stop({ mode: 'emergency' }));
    const killed = world.take().filter((line) => line.includes('kill'));
    expect(killed.sort()).toEqual(['10 kill app', '10 kill cache', '10 kill db', '10 kill worker']);
    expect(report).toMatchObject({ state: 'stopped', duration: 0 });
  });

  it('[SEQ-9] becomes an emergency by another call', async () => {
    const { manager, clock, world, within } = setUpSequence({
      db: { stops: 10 },
      app: { dependsOn: ['db'], stops: Infinity },
    });
    await within(10, manager.start());
    world.take();
    const first = manager.stop();
    await clock.advanceAndFlush(10);
    const second = await within(0, manager.stop({ mode: 'emergency' }));
    expect(world.take().sort()).toEqual(['10 stop app', '20 gone app', '20 gone db', '20 hurry app', '20 kill db']);
    expect(second).toMatchObject({ state: 'stopped' });
    expect(await first).toMatchObject({ state: 'stopped', survivors: [] });
  });

  it('[SEQ-9] in an emergency waits for no start', async () => {
    const { manager, clock, world, within } = setUpSequence({
      db: {},
      app: { dependsOn: ['db'], starts: 1_000, deaf: ['start'] },
    });
    const started = manager.start();
    await clock.advanceAndFlush(10);
    const stopped = manager.stop({ mode: 'emergency' });
    await clock.advanceAndFlush(0);
    expect(world.take().slice(3).sort()).toEqual(['10 gone app', '10 gone db', '10 kill app', '10 kill db']);
    expect(await within(1_000, stopped)).toMatchObject({ state: 'stopped', survivors: [] });
    expect(world.take()).toEqual(['1000 up app', '1000 kill app', '1000 gone app']);
    expect((await started).state).toBe('failed');
  });

  it('[SEQ-8] that is shorter than the one under way counts', async () => {
    const { manager, clock, within } = setUpSequence({ db: { stops: Infinity } });
    await within(10, manager.start());
    const first = manager.stop({ timeout: 100_000 });
    await clock.advanceAndFlush(10);
    const second = manager.stop({ timeout: 100 });
    expect(await within(100, first)).toMatchObject({ state: 'stopped', duration: 85 });
    expect((await second).state).toBe('stopped');
  });

  it('[SEQ-8] takes in the ends that are under way, within its own shares', async () => {
    const { manager, world, clock, within } = setUpSequence({
      db: { stops: 10 },
      app: { dependsOn: ['db'], stops: Infinity },
      web: { dependsOn: ['app'], stops: Infinity },
    });
    await within(10, manager.start());
    await clock.advanceAndFlush(20_000);
    // Their own end would have 30 s.
    world.exit('db');
    await clock.advanceAndFlush(100);
    const report = await within(1_000, manager.stop({ timeout: 900 }));
    expect(report).toMatchObject({ state: 'stopped', survivors: [] });
    expect(report.duration).toBeLessThan(900);
  });

  it('[SEQ-13] may be followed by a start, which begins after it', async () => {
    const { manager, world, within } = setUpSequence({ db: { stops: 100 } });
    await within(10, manager.start());
    const stopped = manager.stop();
    const started = manager.start();
    expect((await within(1_000, stopped)).state).toBe('stopped');
    expect(await started).toMatchObject({ state: 'ready', duration: 100 });
    expect(world.take()).toEqual(['0 start db', '0 up db', '10 stop db', '110 gone db', '110 start db', '110 up db']);
    await within(1_000, manager.stop());
  });

  it('[SEQ-8] of nothing is complete at once', async () => {
    const { manager, within } = setUpSequence({ db: {} });
    expect(await within(0, manager.stop())).toMatchObject({ state: 'stopped', waves: [], steps: [], survivors: [] });
  });
});
