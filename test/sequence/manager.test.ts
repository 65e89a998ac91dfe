import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SequenceManager } from '../../src/index.js';
import { Outbox } from '../../src/runtime/outbox.js';
import { ManualClock } from '../helpers/clock.js';
import { setUpSequence, statesOf } from '../helpers/steps.js';
import { runningTimers } from '../helpers/timers.js';
import { outcome } from '../helpers/until.js';

describe('a sequence manager', () => {
  it('[SEQ-12] brings up and down a chain of 10,000 steps', async () => {
    const log: string[] = [];
    const steps = Array.from({ length: 10_000 }, (_, index) => ({
      id: `s${index}`,
      dependsOn: index === 0 ? [] : [`s${index - 1}`],
      required: false,
      start: () => void log.push(`start ${index}`),
      stop: () => void log.push(`stop ${index}`),
    }));
    const manager = new SequenceManager(steps);
    expect(manager.plan().criticalPath).toHaveLength(10_000);
    expect(await manager.start()).toMatchObject({ state: 'ready' });
    expect(await manager.stop()).toMatchObject({ state: 'stopped', survivors: [] });
    const numbers = steps.map((_, index) => index);
    expect(log).toEqual([...numbers.map((n) => `start ${n}`), ...numbers.reverse().map((n) => `stop ${n}`)]);
  });

  it('[SEQ-12] skips a chain of 10,000 steps', async () => {
    const steps = Array.from({ length: 10_000 }, (_, index) => ({
      id: `s${index}`,
      dependsOn: index === 0 ? [] : [`s${index - 1}`],
      required: false,
      start: () => {
        if (index === 0) throw new Error('no');
      },
    }));
    const report = await new SequenceManager(steps).start();
    expect(report.state).toBe('degraded');
    expect(report.steps.filter(({ state }) => state === 'skipped')).toHaveLength(9_999);
    const last = report.steps.at(-1)?.error;
    expect(last).toMatchObject({
      code: 'DEPENDENCY_FAILED',
      data: { name: 's9998' },
      cause: { cause: new Error('no') },
    });
    expect(last?.message).toBe(
      "the step 's9999' needs 's9998', which cannot be used: the step 's0' could not be started: no",
    );
  });

  it('[SEQ-13] takes steps for one start, and forgets them', async () => {
    const { manager, world, within } = setUpSequence({ db: {} });
    await within(10, manager.start());
    manager.add([world.step('app', { dependsOn: ['db'] }), world.step('web', { dependsOn: ['app'] })]);
    expect(statesOf(await within(10, manager.start({ only: ['web'] })))).toEqual({
      db: 'ready',
      app: 'ready',
      web: 'ready',
    });
    expect(() => manager.remove('app')).toThrow("the step 'app' cannot be removed: 'web' depends on it");
    expect(() => manager.remove('web')).toThrow("the step 'web' cannot be removed: stop it first");
    await within(10, manager.stop({ only: ['app'] }));
    expect([manager.remove('web'), manager.remove('app'), manager.remove('app')]).toEqual([true, true, false]);
    expect(manager.status().steps.map(({ id }) => id)).toEqual(['db']);
    expect(manager.plan('shutdown').waves).toEqual([['db']]);
    await within(10, manager.stop());
  });

  it('[SEQ-14] may be called from its listeners and from its steps', async () => {
    const { manager, world, of, within } = setUpSequence({ db: { stops: 5 }, app: { dependsOn: ['db'], starts: 50 } });
    const seen: string[] = [];
    manager.on('step:ready', ({ id }) => {
      seen.push(`${id} is ${manager.status().steps.find((step) => step.id === id)?.state}`);
      if (id === 'db') void manager.stop();
    });
    const report = await within(1_000, manager.start());
    expect(report.state).toBe('failed');
    expect(seen).toEqual(['db is ready']);
    // It was to begin in the same operation: it is not begun any more.
    expect(world.take()).toEqual(['0 start db', '0 up db', '0 stop db', '5 gone db']);
    expect(of('sequence:stopped')).toHaveLength(1);
  });

  it('[SEQ-14] survives its listeners', async () => {
    const manager = new SequenceManager([{ id: 'db', start: () => {} }]);
    const errors: unknown[] = [];
    manager.on('step:ready', () => {
      throw new Error('mine');
    });
    manager.on('listener:error', ({ error }) => errors.push(error));
    expect(await manager.start()).toMatchObject({ state: 'ready' });
    expect(errors).toEqual([new Error('mine')]);
    await manager.stop();
  });

  it('[SEQ-14] delivers its events in the outbox that it is given', async () => {
    const outbox = new Outbox();
    const clock = new ManualClock();
    const started: string[] = [];
    const manager = new SequenceManager([{ id: 'db', start: () => void started.push('db') }], {}, clock, outbox);
    outbox.hold();
    const start = manager.start();
    expect(await outcome(start)).toBe('pending');
    expect(started).toEqual([]);
    outbox.release();
    expect(started).toEqual(['db']);
    expect(await start).toMatchObject({ state: 'ready' });
    await manager.stop();
    expect(clock.pending).toBe(0);
  });

  it('[SEQ-14] keeps the host alive during a call, and at no other time', async () => {
    const { manager, clock, within } = setUpSequence({ db: { starts: 10 } });
    const held = () => runningTimers().filter((timer) => timer.includes('keep-alive')).length;
    const started = manager.start();
    expect(held()).toBe(1);
    expect(clock.holding).toBe(0);
    await within(10, started);
    expect(held()).toBe(0);
    const stopped = manager.stop();
    expect(held()).toBe(1);
    await within(10, stopped);
    expect(held()).toBe(0);
  });

  it('[SEQ-14] shows its state, and writes its events and reports as JSON', async () => {
    const { manager, events, within } = setUpSequence({ db: { fails: 1, required: false }, app: {} });
    const report = await within(10, manager.start());
    expect(inspect(manager)).toMatch(/^SequenceManager \{/);
    expect(JSON.parse(JSON.stringify(manager))).toEqual({
      state: 'degraded',
      steps: [
        { id: 'db', state: 'failed' },
        { id: 'app', state: 'ready' },
      ],
    });
    expect(JSON.parse(JSON.stringify(report)).steps[0].error).toMatchObject({ code: 'STEP_FAILED' });
    expect(() => JSON.stringify(events)).not.toThrow();
    await within(10, manager.stop());
  });
});
