import { describe, expect, it } from 'vitest';
import type { EmergencyNotice, PooledServer } from '../../../src/index.js';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { gone, QUICK, watchCosts } from '../../helpers/costly.js';
import { fixture } from '../../helpers/fixture.js';
import { watchProcesses } from '../../helpers/load.js';
import { descendants, marked } from '../../helpers/processes.js';
import { fails, open } from '../../helpers/real-pool.js';
import { rejection, until } from '../../helpers/until.js';

describe('the incident, with real processes', () => {
  it('[HEAL-5] a host that asks for more in each burst: growth is named in the first, levels rise in order, limits hold, and it is normal after it', async () => {
    const BURST = 4;
    const HELPERS = 2;
    const notices: EmergencyNotice[] = [];
    const pool = open(
      {
        asked: { ...fixture('costly', `--fork=${HELPERS}`), expectedProcesses: 1, maxInstances: Infinity },
        good: { ...fixture('costly'), sharing: 'shared', expectedProcesses: 1 },
      },
      {
        limits: { maxProcesses: 4 * BURST + 1 },
        acquireTimeout: 60_000,
        monitoring: {
          ...QUICK,
          levels: { warning: 6, critical: 14, nuclear: 22, emergency: 30, cooldown: 500 },
          growth: { processes: 2 * BURST },
          onEmergency: (notice) => notices.push(notice),
        },
      },
    );
    const { levels, growth, actions, degraded } = watchCosts(pool);
    const neighbour = await Caller.of(pool, 'good');
    const processes = watchProcesses();
    await pool.monitor.sample();
    const held: PooledServer[] = [];
    const rising = ['warning', 'critical', 'nuclear', 'emergency'] as const;
    for (const [burst, level] of rising.entries()) {
      const asked = Array.from({ length: BURST }, (_, call) => pool.getServer('asked', { owner: `${burst}-${call}` }));
      held.push(...(await Promise.all(asked)));
      await until('the level of this burst', () => pool.status().level === level);
      await until('growth is told', () => growth.length > 0);
      if (burst === 0) expect(growth).toMatchObject([{ processes: expect.any(Number), names: ['asked'] }]);
    }
    // What is asked for beyond the limit waits, and gets none.
    const beyond = Array.from({ length: BURST }, (_, call) =>
      fails(pool.getServer('asked', { owner: `beyond-${call}`, timeout: 300 })),
    );
    for (const error of await Promise.all(beyond)) expect(error).toMatchObject({ code: 'ACQUIRE_TIMEOUT' });
    expect(levels.map(({ from, to, names }) => [from, to, names])).toEqual(
      rising.map((level, rank) => [rising[rank - 1] ?? 'normal', level, ['asked']]),
    );
    expect(notices).toMatchObject([{ level: 'emergency', names: ['asked'], by: 'processes' }]);
    expect(pool.metrics()).toMatchObject({ mostProcesses: 4 * BURST + 1 });
    expect(processes.most).toBeLessThanOrEqual(4 * BURST * (1 + HELPERS) + 1);
    // By default no tree with a lease ends.
    expect(actions.map(({ action, level }) => [action, level])).toEqual([['call-host', 'emergency']]);

    // The host stops, and gives back what it has asked for.
    for (const lease of held) lease.release();
    await until('it is normal again', () => pool.status().level === 'normal' && levels.length > rising.length);
    expect(levels.at(-1)).toMatchObject({ to: 'normal' });
    await until('nothing of it is left', () => descendants().length === 1);
    await expectUntouched(neighbour);
    expect(degraded).toEqual([]);
  });

  it.each([
    ['normal', 'below it', /critical|nuclear/],
    ['normal', 'that leave its tree', /critical|nuclear/],
    // One that is essential ends only at nuclear, with 60 helpers.
    ['essential', 'below it', /nuclear/],
  ] as const)(
    '[HEAL-6] a server with priority %s that forks 30 helpers (%s) at each interval is found, named and, enforced, ended; its neighbours live on',
    async (priority, where, level) => {
      const one = { ...fixture('costly'), sharing: 'exclusive', expectedProcesses: 1 } as const;
      const pool = open(
        { forks: { ...one, priority }, good: { ...one, sharing: 'shared' }, other: one },
        { monitoring: { ...QUICK, levels: { enforce: true, cooldown: 500 } } },
      );
      const { levels, growth, actions, stopping } = watchCosts(pool);
      const neighbours = [await Caller.of(pool, 'good'), await Caller.of(pool, 'other')];
      // One of them has a few helpers of its own.
      await neighbours[1]?.client.callTool('fork', { count: 2 });
      const caller = await Caller.of(pool, 'forks');
      await pool.monitor.sample();
      await caller.client.callTool('fork', {
        ...{ count: 30, times: 2, every: 2_000 },
        away: where !== 'below it',
      });
      await caller.client.closed;
      expect(await rejection(caller.client.notify('x'))).toMatchObject({
        code: 'OVERLOADED',
        data: { name: 'forks', level: expect.stringMatching(level), value: expect.any(Number) },
      });
      await gone(caller.pid);
      await until('its helpers are gone', () => marked().length === neighbours.length + 2);
      await until('it is normal again', () => pool.status().level === 'normal');
      // The one with most stands first; the other one has grown, too.
      expect(growth.map(({ names }) => names[0])).toEqual(['forks']);
      expect(levels[0]).toMatchObject({ from: 'normal', names: ['forks', 'other'] });
      expect(actions.filter(({ name }) => name !== undefined)).toMatchObject([
        { action: expect.stringMatching(/end-growing|end-unexpected/), name: 'forks', dryRun: false },
      ]);
      expect(stopping.map(({ name, reason }) => [name, reason])).toEqual([['forks', 'overload']]);
      for (const neighbour of neighbours) await expectUntouched(neighbour);
      // And starts are not refused any more.
      const next = await Caller.of(pool, 'forks');
      await next.more(5);
      expect(next.failures).toEqual([]);
    },
  );
});
