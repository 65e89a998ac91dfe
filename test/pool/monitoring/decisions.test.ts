import { describe, expect, it, vi } from 'vitest';
import type { PoolEvents, PoolOptions } from '../../../src/index.js';
import { loopOf } from '../../../src/monitor/loop-of.js';
import { deferred } from '../../../src/runtime/deferred.js';
import { RawClient } from '../../helpers/client.js';
import { codeOf } from '../../helpers/fake-pool.js';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { flush, outcome } from '../../helpers/until.js';

const one = { command: 'fake', expectedProcesses: 1 } as const;
const shared = { ...one, sharing: 'shared' } as const;
const many = { command: 'fake', sharing: 'exclusive', maxInstances: 10 } as const;
const enforced = { levels: { enforce: true } } as const;
/** As a server that needs its graces, ms. */
const SLOWLY = 5_000;

const acted = (actions: readonly PoolEvents['action:taken'][]) =>
  actions.filter(({ action }) => action !== 'free-starts');

type Measured = ReturnType<typeof setUpMeasured>;

const stopped = ({ of }: Measured) => of('server:stopping').map(({ name, reason }) => `${name} ${reason}`);
/** Starts are freed by what was done, so a dry run does not say that. */
const taken = ({ of }: Measured) =>
  acted(of('action:taken')).map(({ action, name, reason, level }) => ({ action, name, reason, level }));

describe('with dryRun', () => {
  /** The same happens with and without it, as far as the servers still live. */
  async function bothWays(options: PoolOptions, story: (measured: Measured) => Promise<void>) {
    const said: unknown[][] = [];
    for (const dryRun of [false, true]) {
      const monitoring = { ...options.monitoring, dryRun };
      const measured = setUpMeasured({ ...options, monitoring }, {}, SLOWLY);
      await story(measured);
      said.push(taken(measured));
      expect(measured.of('action:taken').every((action) => action.dryRun === dryRun)).toBe(true);
      if (dryRun) expect(measured.of('server:stopping')).toEqual([]);
      expect(measured.pool.metrics().monitorActions).toBe(dryRun ? 0 : measured.of('action:taken').length);
    }
    expect(said[1]).toEqual(said[0]);
    return said[0] as ReturnType<typeof taken>;
  }

  it('[ENFORCE-5] the same is said of limits, each once, however long it lasts', async () => {
    const servers = {
      soon: { ...many, memoryLimitMB: 100 },
      late: { ...many, memoryLimitMB: 100 },
      moved: { ...shared, memoryLimitMB: 100 },
    };
    const said = await bothWays({ servers }, async ({ pool, pass, server }) => {
      for (const name of Object.keys(servers)) await pool.getServer(name);
      for (const [index, memoryMB] of [150, 105, 300].entries()) server(index).load = { memoryMB };
      await pass(300_000);
    });
    expect(said.map(({ action, name }) => `${action} ${name}`)).toEqual([
      'replace soon',
      'replace late',
      'replace moved',
    ]);
  });

  it('[ENFORCE-5] the same is said of the total: idle trees, starts that wait, and the largest one', async () => {
    const limits = { memoryLimitMB: 1_000 };
    const said = await bothWays({ servers: { a: many, big: shared }, limits }, async ({ pool, pass, server }) => {
      const leases = await Promise.all(['w', 'x'].map((owner) => pool.getServer('a', { owner })));
      await pool.getServer('big');
      for (const [index, memoryMB] of [150, 100, 950].entries()) server(index).load = { memoryMB };
      for (const lease of leases) lease.release();
      await pass(120_000);
    });
    expect(said.map(({ action, name }) => `${action} ${name}`)).toEqual([
      'hold-starts undefined',
      'end-idle a',
      'end-idle a',
      'replace big',
    ]);
  });

  it.each([
    [41, ['refuse-starts', 'end-idle', 'end-growing']],
    [61, ['refuse-starts', 'end-idle', 'end-unexpected']],
    [151, ['refuse-starts', 'end-all', 'call-host']],
  ])('[ENFORCE-5] the same is said of a level, each once: %i processes, %j', async (processes, actions) => {
    const servers = { forks: one, good: shared, idle: one };
    const monitoring = { levels: { enforce: true }, onEmergency: () => {} };
    const said = await bothWays({ servers, monitoring }, async ({ pool, pass, server }) => {
      for (const name of Object.keys(servers)) {
        const lease = await pool.getServer(name);
        if (name === 'idle') lease.release();
      }
      await pass(10_000);
      server(0).load = { processes };
      server(1).load = { processes: 2 };
      await pass(25_000);
    });
    expect(said.map(({ action }) => action)).toEqual(actions);
  });

  it('[ENFORCE-5] what is over, and comes again, is said again', async () => {
    const measured = setUpMeasured({
      servers: { a: { ...many, memoryLimitMB: 100 }, forks: one },
      monitoring: { ...enforced, dryRun: true },
    });
    const { pool, pass, server } = measured;
    await pool.getServer('a');
    await pool.getServer('forks');
    await pass(6_000);
    for (let round = 1; round <= 2; round++) {
      server(0).load = { memoryMB: 150 };
      server(1).load = { processes: 41 };
      await pass(90_000);
      server(0).load = { memoryMB: 50 };
      server(1).load = { processes: 1 };
      await pass(120_000);
      expect(taken(measured).map(({ action }) => action)).toEqual(
        Array.from({ length: round }, () => ['refuse-starts', 'end-growing', 'replace']).flat(),
      );
    }
  });
});

describe('an action', () => {
  it('[ENFORCE-11] that cannot be carried out any more is not said', async () => {
    const measured = setUpMeasured({ servers: { a: many, good: shared }, limits: { memoryLimitMB: 1_000 } });
    const { pool, pass, server } = measured;
    (await pool.getServer('a')).release();
    await pool.getServer('good');
    server(0).load = { memoryMB: 300 };
    server(1).load = { memoryMB: 650 };
    await pass(30_000);
    const { usage } = server(0);
    const held = deferred<void>();
    server(0).usage = async () => {
      await held.promise;
      return usage();
    };
    // The sample that decides is under way when the idle tree gets a lease.
    await pass(9_000);
    await pool.getServer('a');
    held.resolve();
    await flush();
    expect(pool.monitor.latest?.totals.memoryMB).toBe(950);
    await pass(20_000);
    expect(taken(measured)).toEqual([]);
    expect(pool.metrics().monitorActions).toBe(0);
  });

  it('[ENFORCE-11] that could not be carried out is no reason to wait for its effect', async () => {
    const servers = { a: many, b: many, good: shared };
    // Only the limit is to act, and not the level.
    const monitoring = { levels: { actions: { critical: [] } } };
    const { pool, pass, of, server } = setUpMeasured({ servers, limits: { memoryLimitMB: 1_000 }, monitoring });
    for (const name of ['a', 'b']) (await pool.getServer(name)).release();
    await pool.getServer('good');
    for (const [index, memoryMB] of [300, 250, 400].entries()) server(index).load = { memoryMB };
    await pass(30_000);
    const { usage } = server(2);
    const held = deferred<void>();
    server(2).usage = async () => {
      await held.promise;
      return usage();
    };
    // The sample that chooses the larger idle tree is under way when that gets a lease.
    await pass(9_000);
    await pool.getServer('a');
    server(2).usage = usage;
    held.resolve();
    await flush();
    expect([of('action:taken'), pool.monitor.latest?.totals.memoryMB]).toEqual([[], 950]);
    await pass(6_000);
    expect(of('action:taken')).toMatchObject([{ action: 'end-idle', name: 'b' }]);
  });

  it('[ENFORCE-12] is not taken in a pool that is shut down: requests keep the time that they were promised', async () => {
    for (const level of ['critical', 'emergency']) {
      const measured = setUpMeasured({ servers: { a: shared }, monitoring: enforced }, { answer: false });
      const { pool, pass, server, clock } = measured;
      const client = await RawClient.connect((await pool.getServer('a')).transport);
      const answer = client.request('slow', {});
      await pass(6_000);
      const closing = pool.shutdown({ drainTimeout: 30_000, timeout: 60_000 });
      server(0).load = { processes: level === 'critical' ? 41 : 151 };
      await pass(20_000);
      expect(pool.monitor.level).toBe(level);
      expect(await outcome(answer)).toBe('pending');
      const request = server(0).received.find(({ method }) => method === 'slow');
      server(0).answer(request?.id ?? 0, { ok: true });
      expect(await answer).toMatchObject({ ok: true });
      await clock.advanceAndFlush(1_000);
      await closing;
      expect(taken(measured)).toEqual([]);
    }
  });

  it('[ENFORCE-13] of a replacement that fails is tried again after growing pauses; the server serves on', async () => {
    const measured = setUpMeasured({ servers: { a: { ...shared, memoryLimitMB: 100 } } });
    const { pool, pass, server, launcher, of } = measured;
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    launcher.onLaunch = () => {
      throw new Error('no more processes');
    };
    server(0).load = { memoryMB: 105 };
    const times: number[] = [];
    for (let second = 0; second < 600; second += 1) {
      await pass(1_000);
      if (of('action:taken').length > times.length) times.push(second);
      if (second % 100 === 0) expect(await client.request('echo', {})).toBeDefined();
    }
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(times.length).toBeGreaterThan(2);
    expect(times.length).toBeLessThan(7);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    // New callers get it, too.
    expect((await pool.getServer('a')).pid).toBe(server(0).pid);
    launcher.onLaunch = undefined;
    await pass(600_000);
    expect(stopped(measured)).toEqual(['a memory-limit']);
    expect(await client.request('echo', {})).toBeDefined();
  });
});

describe('a change of a definition', () => {
  it('[ENFORCE-10] of expectedProcesses counts for what lives', async () => {
    const { pool, pass, server } = setUpMeasured({ servers: { a: one } });
    await pool.getServer('a');
    await pass(6_000);
    server(0).load = { processes: 40 };
    await pass(10_000);
    expect(pool.monitor.latest?.totals.unexpected).toBe(39);
    await pool.updateServer('a', { ...one, expectedProcesses: 40 });
    await pass(6_000);
    expect(pool.monitor.latest?.totals.unexpected).toBe(0);
    await pool.updateServer('a', { ...one, expectedProcesses: 10 });
    await pass(6_000);
    expect(pool.monitor.latest?.totals.unexpected).toBe(30);
    expect(server(0).alive).toBe(true);
  });

  it('[ENFORCE-10] that lifts a limit is its recovery, told once and with that limit', async () => {
    const { pool, pass, server, of } = setUpMeasured({ servers: { a: { ...many, memoryLimitMB: 100 } } });
    const lease = await pool.getServer('a');
    server(0).load = { memoryMB: 105 };
    await pass(60_000);
    void pool.updateServer('a', many);
    await pass(6_000);
    const recovered = { kind: 'memory', name: 'a', instanceId: lease.instanceId, value: 105, limit: 100 };
    expect(of('limit:recovered')).toEqual([recovered]);
    lease.release();
    await pass(10_000);
    expect(of('limit:recovered')).toEqual([recovered]);
  });

  it('[ENFORCE-10] of cpuWindow, or of a limit, counts for what lives', async () => {
    const cpu = { ...many, cpuLimitPercent: 50, cpuWindow: 3_600_000 };
    const measured = setUpMeasured({ servers: { a: cpu } });
    const { pool, pass, server } = measured;
    await pool.getServer('a');
    server(0).load = { cpuPercent: 90, memoryMB: 150 };
    await pass(120_000);
    expect(stopped(measured)).toEqual([]);
    await pool.updateServer('a', { ...cpu, cpuWindow: 20_000 });
    await pass(60_000);
    expect(stopped(measured)).toEqual(['a cpu-limit']);
    await pool.getServer('a');
    server(1).load = { memoryMB: 150 };
    await pass(60_000);
    expect(stopped(measured)).toHaveLength(1);
    await pool.updateServer('a', { ...cpu, memoryLimitMB: 100 });
    await pass(60_000);
    expect(stopped(measured)).toEqual(['a cpu-limit', 'a memory-limit']);
  });

  it('[ENFORCE-10] or its removal forgets the lives of the old one', async () => {
    const { pool } = setUpMeasured({ servers: { a: many } });
    const forget = vi.spyOn(loopOf(pool.monitor), 'forgetLives');
    await pool.updateServer('a', { ...many, args: ['other'] });
    expect(forget).toHaveBeenCalledTimes(1);
    await pool.removeServer('a');
    expect(forget).toHaveBeenCalledTimes(2);
    expect(forget).toHaveBeenLastCalledWith('a');
  });

  it('[ENFORCE-10] moves the default limit of all trees: it is never below the largest of a server', async () => {
    const { pool, pass, server, of } = setUpMeasured({ servers: { a: many, b: many } });
    const exceeded = () => of('limit:exceeded').filter(({ kind }) => kind === 'total-memory');
    await pool.getServer('a');
    await pool.updateServer('b', { ...many, memoryLimitMB: 1_000_000 });
    server(0).load = { memoryMB: 900_000 };
    await pass(60_000);
    expect(exceeded()).toEqual([]);
    await pool.removeServer('b');
    await pass(60_000);
    expect(exceeded()).toHaveLength(1);
    expect(exceeded()[0]?.limit).toBeLessThanOrEqual(4_096);
  });
});

describe('the CPU of all trees', () => {
  it.each([
    ['near its limit', 95, []],
    ['over it', 120, ['busy cpu-limit']],
  ])(
    '[ENFORCE-14] %s: the one that uses most is replaced for it, and no idle tree ends',
    async (_, cpuPercent, ends) => {
      const measured = setUpMeasured({
        servers: { a: many, busy: shared, good: shared },
        limits: { cpuLimitPercent: 100 },
      });
      const { pool, pass, server } = measured;
      const leases = await Promise.all(['x', 'y', 'z'].map((owner) => pool.getServer('a', { owner })));
      await pool.getServer('busy');
      await pool.getServer('good');
      for (const lease of leases) lease.release();
      server(3).load = { cpuPercent: cpuPercent - 5 };
      server(4).load = { cpuPercent: 5 };
      await pass(90_000);
      expect(stopped(measured)).toEqual(ends);
    },
  );

  it('[ENFORCE-14] that others of it use: no small neighbour is replaced for one that may not end', async () => {
    const servers = { busy: { ...many, priority: 'essential' }, good: shared } as const;
    const measured = setUpMeasured({ servers, limits: { cpuLimitPercent: 100 } });
    const { pool, pass, server, of } = measured;
    await pool.getServer('busy');
    await pool.getServer('good');
    server(0).load = { cpuPercent: 150 };
    server(1).load = { cpuPercent: 5 };
    await pass(300_000);
    expect(of('limit:exceeded').map(({ kind, limit }) => [kind, limit])).toEqual([['total-cpu', 100]]);
    expect(stopped(measured)).toEqual([]);
  });
});

describe('a level', () => {
  it('[INCIDENT-5] with end-all in its list spares essential trees below nuclear, and plan() says the same', async () => {
    const servers = { vital: { ...shared, priority: 'essential' }, forks: one, good: shared, idle: one } as const;
    const levels = { actions: { warning: ['end-all'] } } as const;
    const measured = setUpMeasured({ servers, monitoring: { levels } }, {}, SLOWLY);
    const { pool, pass, server, of } = measured;
    for (const name of Object.keys(servers)) {
      const lease = await pool.getServer(name);
      if (name === 'idle') lease.release();
    }
    await pass(6_000);
    server(1).load = { processes: 18 };
    const planned = pool.plan('level', { level: 'warning' }).ends.map(({ name }) => name);
    await pass(10_000);
    expect(planned.toSorted()).toEqual(['forks', 'good', 'idle']);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(expect.arrayContaining(planned));
    expect(of('server:stopping')).toHaveLength(3);
    await pass(60_000);
    expect(server(0).alive).toBe(true);
    // One action for all of them.
    expect(taken(measured).map(({ action }) => action)).toEqual(['end-all']);
  });

  it('[INCIDENT-5] with end-all ends trees that were not measured yet, and those that leave; plan() shows them', async () => {
    const levels = { actions: { emergency: ['end-all'] } } as const;
    const measured = setUpMeasured({
      servers: { forks: one, late: shared, a: { ...many, memoryLimitMB: 100 } },
      monitoring: { levels },
    });
    const { pool, pass, server, launcher } = measured;
    await pool.getServer('forks');
    await pool.getServer('a');
    server(1).load = { memoryMB: 105 };
    await pass(60_000);
    expect(taken(measured).map(({ action }) => action)).toEqual(['replace']);
    server(0).load = { processes: 150 };
    await pool.getServer('late');
    server(2).failure = new Error('not yet');
    await pass(1_000);
    const names = pool.plan('level', { level: 'emergency' }).ends.map(({ name }) => name);
    expect(new Set(names)).toEqual(new Set(['forks', 'late', 'a']));
    await pass(6_000);
    expect(launcher.living).toEqual([]);
  });

  it('[INCIDENT-6] at emergency ends starts that have no process yet, too; plan() shows them', async () => {
    const { pool } = setUpMeasured(
      { servers: { a: many }, limits: { concurrentStarts: 1 }, monitoring: enforced },
      { initialize: false },
    );
    const calls = ['x', 'y'].map((owner) => codeOf(pool.getServer('a', { owner })));
    await flush();
    expect(pool.plan('level', { level: 'emergency' }).ends.map(({ state }) => state)).toEqual(['starting', 'starting']);
    void pool.shutdown({ mode: 'emergency' });
    await Promise.all(calls);
  });

  it('[INCIDENT-6] reached by memory: plan() shows as many idle trees as then end', async () => {
    const measured = setUpMeasured({ servers: { a: many }, limits: { memoryLimitMB: 1_000 } }, {}, SLOWLY);
    const { pool, pass, server } = measured;
    const leases = await Promise.all(['w', 'x', 'y', 'z'].map((owner) => pool.getServer('a', { owner })));
    for (const [index, memoryMB] of [200, 300, 100, 350].entries()) server(index).load = { memoryMB };
    await pass(60_000);
    expect(pool.status().level).toBe('critical');
    for (const index of [0, 1, 2]) leases[index]?.release();
    const planned = pool.plan('level', { level: 'critical' }).ends.map(({ instanceId }) => instanceId);
    await pass(60_000);
    const ended = measured.of('server:stopping').map(({ instanceId }) => instanceId);
    expect(ended).toHaveLength(1);
    expect(planned).toEqual(ended);
  });

  it('[INCIDENT-3] ends idle trees by their priority, and no essential one below nuclear', async () => {
    const servers = {
      vital: { ...many, priority: 'essential' },
      usual: many,
      extra: { ...many, priority: 'expendable' },
      forks: one,
    } as const;
    const measured = setUpMeasured({ servers }, {}, SLOWLY);
    const { pool, pass, server, of } = measured;
    for (const name of Object.keys(servers)) {
      const lease = await pool.getServer(name);
      if (name !== 'forks') lease.release();
    }
    await pass(6_000);
    server(3).load = { processes: 41 };
    await pass(20_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(['extra', 'usual']);
    server(3).load = { processes: 81 };
    await pass(20_000);
    expect(of('server:stopping').map(({ name }) => name)).toEqual(['extra', 'usual', 'vital']);
    expect(server(3).alive).toBe(true);
  });

  it('[INCIDENT-4] calls the host, and survives what that throws or rejects with', async () => {
    for (const onEmergency of [
      () => {
        throw new Error('no container');
      },
      () => Promise.reject(new Error('no container')),
    ]) {
      const { pool, pass, server } = setUpMeasured({ servers: { forks: one }, monitoring: { onEmergency } });
      const errors: unknown[] = [];
      pool.monitor.on('listener:error', ({ event, error }) => errors.push([event, (error as Error).message]));
      await pool.getServer('forks');
      await pass(6_000);
      server(0).load = { processes: 150 };
      await pass(10_000);
      expect(errors).toEqual([['onEmergency', 'no container']]);
      server(0).load = { processes: 1 };
      await pass(60_000);
      expect(pool.status().level).toBe('normal');
    }
  });

  it('[ENFORCE-7] is normal, and refuses no start, while the monitor is stopped; start() finds it again', async () => {
    const { pool, pass, server, of } = setUpMeasured({
      servers: { forks: { ...one, priority: 'essential' }, late: one, later: one },
      monitoring: enforced,
    });
    await pool.getServer('forks');
    await pass(6_000);
    server(0).load = { processes: 41 };
    await pass(6_000);
    expect(await codeOf(pool.getServer('late'))).toBe('OVERLOADED');
    pool.monitor.stop();
    expect(pool.status().level).toBe('normal');
    expect(of('level:changed').at(-1)).toMatchObject({ from: 'critical', to: 'normal', threshold: 30 });
    const { latest } = pool.monitor;
    await pool.getServer('late');
    await pass(30_000);
    expect(pool.monitor.latest).toBe(latest);
    pool.monitor.start();
    await pass(12_000);
    expect(pool.status().level).toBe('critical');
    expect(await codeOf(pool.getServer('later'))).toBe('OVERLOADED');
  });
});
