import { describe, expect, it } from 'vitest';
import { setUpSequence } from '../helpers/steps.js';

/** The state of each step now. */
function now({ manager }: Pick<ReturnType<typeof setUpSequence>, 'manager'>): Record<string, string> {
  return Object.fromEntries(manager.status().steps.map(({ id, state }) => [id, state]));
}

describe('a step that ends by itself', () => {
  it('[SEQ-7] is started again, and what depends on it with it: in order, each once', async () => {
    const set = setUpSequence({
      db: { starts: 10 },
      api: { dependsOn: ['db'], starts: 5, stops: 2 },
      web: { dependsOn: ['api', 'db'], starts: 5, stops: 3 },
      other: {},
    });
    const { manager, world, clock, of, within } = set;
    await within(100, manager.start());
    await clock.advanceAndFlush(20_000);
    world.take();
    world.exit('db', new Error('out of memory'));
    await clock.advanceAndFlush(100);
    expect(world.take()).toEqual([
      '20100 exit db',
      '20100 stop web',
      '20103 gone web',
      '20103 stop api',
      '20105 gone api',
      '20105 start db',
      '20115 up db',
      '20115 start api',
      '20120 up api',
      '20120 start web',
      '20125 up web',
    ]);
    expect(of('step:exited')).toMatchObject([
      {
        id: 'db',
        error: { code: 'STEP_EXITED', cause: new Error('out of memory') },
        restarted: ['api', 'web'],
        held: [],
        stopped: [],
      },
    ]);
    expect(of('sequence:degraded')).toMatchObject([{ state: 'degraded' }]);
    expect(of('sequence:ready').at(-1)).toMatchObject({ state: 'ready', duration: 25 });
    expect(manager.status().state).toBe('ready');
    await within(100, manager.stop());
  });

  it('[SEQ-7] has its dependents held, left, or stopped if they ask for that', async () => {
    const set = setUpSequence({
      db: { starts: 10 },
      held: { dependsOn: ['db'], onDependencyExit: 'hold' },
      onHeld: { dependsOn: ['held'] },
      careless: { dependsOn: ['db'], onDependencyExit: 'ignore' },
      optional: { dependsOn: { db: { required: false } } },
      stopped: { dependsOn: ['db'], onDependencyExit: 'stop' },
    });
    const { manager, world, clock, of, within } = set;
    await within(100, manager.start());
    await clock.advanceAndFlush(20_000);
    world.take();
    world.exit('db');
    await clock.advanceAndFlush(5);
    expect(now(set)).toEqual({
      db: 'starting',
      held: 'held',
      onHeld: 'ready',
      careless: 'ready',
      optional: 'ready',
      stopped: 'stopped',
    });
    expect(of('step:exited')).toMatchObject([{ restarted: [], held: ['held'], stopped: ['stopped'] }]);
    await clock.advanceAndFlush(5);
    expect(now(set)).toMatchObject({ db: 'ready', held: 'ready', stopped: 'stopped' });
    expect(of('step:resumed')).toEqual([{ id: 'held' }]);
    // What was stopped is missing.
    expect(manager.status().state).toBe('degraded');
    expect(world.take()).toEqual([
      '20100 exit db',
      '20100 stop stopped',
      '20100 gone stopped',
      '20100 start db',
      '20110 up db',
    ]);
    await within(100, manager.stop());
  });

  it('[SEQ-7] twice in one incident has its dependents stopped and started once', async () => {
    const { manager, world, clock, within } = setUpSequence({
      db: { starts: 10, retries: 5 },
      queue: { starts: 50 },
      app: { dependsOn: ['db', 'queue'] },
    });
    await within(100, manager.start());
    await clock.advanceAndFlush(20_000);
    world.take();
    world.exit('db');
    world.exit('queue');
    await clock.advanceAndFlush(12);
    world.exit('db');
    await clock.advanceAndFlush(1_000);
    const lines = world.take();
    expect(lines.filter((line) => line.endsWith('stop app'))).toHaveLength(1);
    expect(lines.filter((line) => line.endsWith('start app'))).toHaveLength(1);
    await within(100, manager.stop());
  });

  it('[SEQ-7] soon after it was ready is tried again as often as its retries say; then what needs it goes, and no other', async () => {
    const set = setUpSequence({
      db: { retries: 1 },
      app: { dependsOn: ['db'] },
      held: { dependsOn: ['db'], onDependencyExit: 'hold' },
      onHeld: { dependsOn: ['held'] },
      careless: { dependsOn: ['db'], onDependencyExit: 'ignore' },
      other: {},
    });
    const { manager, world, clock, of, within } = set;
    await within(100, manager.start());
    world.exit('db');
    await clock.advanceAndFlush(200);
    expect(now(set)).toMatchObject({ db: 'ready', app: 'ready', held: 'ready' });
    world.exit('db');
    await clock.advanceAndFlush(200);
    expect(now(set)).toEqual({
      db: 'failed',
      app: 'skipped',
      held: 'stopped',
      onHeld: 'skipped',
      careless: 'ready',
      other: 'ready',
    });
    expect(of('sequence:failed')).toEqual([]);
    expect(manager.status().state).toBe('degraded');
    expect(manager.status().steps[1]).toMatchObject({
      reason: 'dependency-failed',
      error: { code: 'DEPENDENCY_FAILED' },
    });
    // Another start brings up what is missing.
    expect(await within(100, manager.start())).toMatchObject({ state: 'ready' });
    await within(100, manager.stop());
  });

  it('[SEQ-7] while others are starting is a failed attempt of that start', async () => {
    const { manager, world, clock, within } = setUpSequence({
      db: {},
      slow: { starts: 1_000 },
      app: { dependsOn: ['db'], starts: 500 },
    });
    const started = manager.start();
    await clock.advanceAndFlush(100);
    world.exit('db');
    expect(await within(1_000, started)).toMatchObject({
      state: 'failed',
      duration: 100,
      error: { code: 'STEP_EXITED' },
    });
    expect(world.living.size).toBe(0);
  });

  it('[SEQ-7] while others are starting fails that start for a required step that is stopped for it', async () => {
    const { manager, world, clock, within } = setUpSequence({
      db: { retries: 1 },
      app: { dependsOn: ['db'], onDependencyExit: 'stop' },
      slow: { starts: 1_000 },
    });
    const started = manager.start();
    await clock.advanceAndFlush(100);
    world.exit('db');
    const report = await within(1_000, started);
    expect(report).toMatchObject({ state: 'failed', duration: 100, error: { code: 'DEPENDENCY_FAILED' } });
    expect(world.living.size).toBe(0);
  });

  it('[SEQ-7] is told by exited(), too', async () => {
    const { manager, world, clock, within } = setUpSequence({ db: { starts: 10 }, app: { dependsOn: ['db'] } });
    expect(manager.exited('db')).toBe(false);
    await within(100, manager.start());
    await clock.advanceAndFlush(20_000);
    world.take();
    expect(manager.exited('db', new Error('gone'))).toBe(true);
    await clock.advanceAndFlush(100);
    expect(world.take()).toEqual([
      '20100 stop app',
      '20100 gone app',
      '20100 start db',
      '20110 up db',
      '20110 start app',
      '20110 up app',
    ]);
    expect(() => manager.exited('dbb')).toThrow(/id of exited\(\) must be that of a step/);
    await within(100, manager.stop());
    expect(manager.exited('db')).toBe(false);
  });

  it('[SEQ-7] before it is ready is not stopped, but tried again', async () => {
    const { manager, world, clock, within } = setUpSequence({ db: { readies: 100, retries: 1 } });
    const started = manager.start();
    await clock.advanceAndFlush(50);
    world.exit('db');
    expect(await within(1_000, started)).toMatchObject({ state: 'ready' });
    expect(world.take().filter((line) => /start|stop/.test(line))).toEqual(['0 start db', '150 start db']);
    await within(100, manager.stop());
  });

  it('[SEQ-7] while it is stopped, or after that, changes nothing', async () => {
    const { manager, world, clock, of, within } = setUpSequence({ db: { stops: 100 } });
    await within(100, manager.start());
    const stopped = manager.stop();
    await clock.advanceAndFlush(50);
    world.exit('db');
    expect(await within(100, stopped)).toMatchObject({ state: 'stopped' });
    expect(of('step:exited')).toEqual([]);
  });

  it('[SEQ-7] is not begun again when all is stopped meanwhile', async () => {
    const { manager, world, clock, within } = setUpSequence({
      db: { starts: 10 },
      app: { dependsOn: ['db'], stops: 50 },
    });
    await within(100, manager.start());
    await clock.advanceAndFlush(20_000);
    world.take();
    world.exit('db');
    await clock.advanceAndFlush(20);
    expect(await within(100, manager.stop())).toMatchObject({ state: 'stopped' });
    expect(world.take().filter((line) => line.includes('start'))).toEqual([]);
    expect(world.living.size).toBe(0);
  });
});
