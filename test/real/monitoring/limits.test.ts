import { describe, expect, it } from 'vitest';
import type { ServerDefinition } from '../../../src/index.js';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { gone, QUICK, watchCosts } from '../../helpers/costly.js';
import { fixture, wrapped } from '../../helpers/fixture.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';
import { rejection, until } from '../../helpers/until.js';

/** A server that begins to cost too much, by which tool, and what its limit is called. */
interface Cost {
  readonly policy: Pick<ServerDefinition, 'memoryLimitMB' | 'cpuLimitPercent' | 'cpuWindow' | 'maxTreeProcesses'>;
  readonly tool: readonly [name: string, args: object];
  readonly kind: 'memory' | 'cpu' | 'processes';
  readonly option: string;
  readonly limit: number;
  readonly reason: string;
}

const memory: Omit<Cost, 'tool'> = {
  policy: { memoryLimitMB: 80 },
  ...{ kind: 'memory', option: 'memoryLimitMB', limit: 80, reason: 'memory-limit' },
};

const COSTS: Readonly<Record<string, Cost>> = {
  leaks: { ...memory, tool: ['leak', { mb: 40, most: 150 }] },
  'takes much memory at once': { ...memory, tool: ['take', { mb: 150 }] },
  'burns CPU': {
    // Far below what it asks for: it must be over the limit on a loaded machine, too.
    policy: { cpuLimitPercent: 25, cpuWindow: 2_000 },
    tool: ['burn', { threads: 2 }],
    ...{ kind: 'cpu', option: 'cpuLimitPercent', limit: 25, reason: 'cpu-limit' },
  },
  forks: {
    policy: { maxTreeProcesses: 4 },
    tool: ['fork', { count: 8 }],
    ...{ kind: 'processes', option: 'maxTreeProcesses', limit: 4, reason: 'process-limit' },
  },
};

const cases = Object.keys(COSTS).flatMap((what) => [
  [what, 'a server', fixture('costly')] as const,
  [what, 'the child of a shell', wrapped('costly')] as const,
]);

describe('a real server over its limit', () => {
  it.each(cases)(
    '[HEAL-1] that %s (%s) is replaced under its leases: the new one first, and no call fails',
    async (what, _, command) => {
      const { policy, tool, kind, limit, reason } = COSTS[what] as Cost;
      const shared = { ...command, ...policy, sharing: 'shared', maxInstances: 2 } as const;
      const pool = open({ costly: shared, good: { ...shared, maxInstances: 1 } }, { monitoring: QUICK });
      const { exceeded, recovered, actions, stopping } = watchCosts(pool);
      const neighbour = await Caller.of(pool, 'good');
      const callers = await Promise.all([1, 2].map(() => Caller.of(pool, 'costly')));
      const [first] = callers as [Caller];
      const instanceId = first.lease.instanceId;
      const isNextReady: boolean[] = [];
      pool.once('server:stopping', () => {
        isNextReady.push(
          pool.status().servers.costly?.instances.some(({ pid, state }) => pid !== first.pid && state === 'ready') ??
            false,
        );
      });

      await first.client.callTool(...tool);
      await until('the next one serves', () => recovered.length > 0);
      await gone(first.pid);
      for (const caller of callers) await caller.more(5);

      expect(exceeded).toEqual([{ kind, name: 'costly', instanceId, value: expect.any(Number), limit }]);
      expect(exceeded[0]?.value).toBeGreaterThan(limit);
      // Told again if the next one takes longer to start than an action may take to show its effect.
      const expected = { action: 'replace', name: 'costly', instanceId, dryRun: false };
      expect(actions).toMatchObject([expected, ...actions.slice(1).map(() => expected)]);
      expect(actions[0]?.reason).toContain(`more than its limit of ${limit}`);
      expect(stopping.map(({ name, reason: its }) => [name, its])).toEqual([['costly', reason]]);
      expect(isNextReady).toEqual([true]);
      expect(callers.map(({ failures, client }) => [failures, client.closeCount, client.strays])).toEqual(
        callers.map(() => [[], 0, []]),
      );
      expect(new Set(callers.map(({ lease }) => lease.pid)).size).toBe(1);
      expect(first.lease.pid).not.toBe(first.pid);
      await expectUntouched(neighbour);
      await until(
        'two trees are left',
        () => descendants().length === pool.status().processes * (command.command === 'sh' ? 2 : 1),
      );
      expect(pool.metrics()).toMatchObject({ crashes: 0, limitViolations: 1, monitorActions: actions.length });
    },
  );

  it.each(cases)(
    '[HEAL-2] that %s (%s) ends at once when it is far over it: its lease learns limit and figure',
    async (what, _, command) => {
      const { policy, tool, option, limit, reason } = COSTS[what] as Cost;
      const exclusive = { ...command, ...policy, sharing: 'exclusive' } as const;
      const pool = open({ costly: exclusive, good: exclusive }, { monitoring: QUICK });
      const { stopping, actions } = watchCosts(pool);
      const neighbour = await Caller.of(pool, 'good');
      const caller = await Caller.of(pool, 'costly');
      await caller.client.callTool(...tool);
      await caller.client.closed;

      const error = (await rejection(caller.client.notify('x'))) as { data: { value: number }; message: string };
      expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED', data: { name: 'costly', option, limit } });
      expect(error.data.value).toBeGreaterThanOrEqual(1.1 * limit);
      expect(error.message).toContain(`${Math.round(error.data.value)}`);
      expect(error.message).toContain(`more than the ${limit} of ${option}`);
      await gone(caller.pid);
      // It may have been just over the limit at first, and was to end with its lease then.
      const expected = { action: 'replace', name: 'costly', instanceId: caller.lease.instanceId, dryRun: false };
      expect(actions).toMatchObject([expected, ...actions.slice(1).map(() => expected)]);
      expect(stopping.map(({ name, reason: its }) => [name, its])).toEqual([['costly', reason]]);
      // What was under way has got the reason, too.
      for (const failure of caller.failures) expect(failure).toMatchObject({ data: { reason: 'LIMIT_EXCEEDED' } });
      const next = await Caller.of(pool, 'costly');
      await next.more(5);
      expect(next.failures).toEqual([]);
      await expectUntouched(neighbour);
    },
  );

  it('[HEAL-1] that leaks in each of its lives is replaced again and again, and no call fails', async () => {
    const leaking = fixture('costly', '--leak=40', '--most=150');
    const shared = { sharing: 'shared', maxInstances: 2, memoryLimitMB: 80 } as const;
    const pool = open(
      { costly: { ...leaking, ...shared }, good: { ...fixture('costly'), ...shared } },
      { monitoring: QUICK },
    );
    const { stopping, recovered } = watchCosts(pool);
    const neighbour = await Caller.of(pool, 'good');
    const callers = await Promise.all([1, 2].map(() => Caller.of(pool, 'costly')));
    await until('it was replaced three times', () => recovered.length >= 3);
    for (const caller of callers) await caller.more(5);
    expect(callers.map(({ failures, client }) => [failures, client.closeCount])).toEqual(callers.map(() => [[], 0]));
    expect(new Set(stopping.map(({ name }) => name))).toEqual(new Set(['costly']));
    expect(new Set(stopping.map(({ instanceId }) => instanceId)).size).toBe(stopping.length);
    await expectUntouched(neighbour);
  });

  it('[HEAL-2] below 110 % serves its lease to the end, and no other one', async () => {
    const limited = { ...fixture('costly'), sharing: 'exclusive', memoryLimitMB: 100 } as const;
    const pool = open({ costly: limited, good: limited }, { monitoring: QUICK });
    const { exceeded, actions, stopping } = watchCosts(pool);
    const neighbour = await Caller.of(pool, 'good');
    const caller = await Caller.of(pool, 'costly');
    const { trees } = await pool.monitor.sample();
    const used = trees.find(({ name }) => name === 'costly')?.memoryMB ?? 0;
    await caller.client.callTool('take', { mb: 104 - used });
    await until('it is told', () => actions.length > 0);
    await caller.more(50);
    expect(isLiving(caller.pid)).toBe(true);
    expect(exceeded).toMatchObject([{ kind: 'memory', name: 'costly', limit: 100 }]);
    expect(stopping).toEqual([]);

    await caller.stop();
    expect(caller.failures).toEqual([]);
    caller.lease.release();
    await gone(caller.pid);
    expect(stopping).toMatchObject([{ name: 'costly', reason: 'memory-limit' }]);
    const next = await Caller.of(pool, 'costly');
    await next.more(5);
    expect(next.failures).toEqual([]);
    await expectUntouched(neighbour);
  });
});

describe('real servers that together use more than the pool may', () => {
  it('[HEAL-3] near the limit the idle one ends, and no other', async () => {
    const servers = {
      idle: fixture('costly', '--take=50'),
      costly: fixture('costly', '--take=60'),
      good: fixture('costly'),
    };
    const pool = open(servers, { limits: { memoryLimitMB: 200 }, monitoring: QUICK });
    const { stopping, actions } = watchCosts(pool);
    const [neighbour, caller] = [await Caller.of(pool, 'good'), await Caller.of(pool, 'costly')];
    const idle = await pool.getServer('idle');
    const pid = idle.pid ?? 0;
    idle.release();
    await caller.client.callTool('take', { mb: 55 });
    await gone(pid);
    await caller.more(50);
    expect(actions).toMatchObject([{ action: 'end-idle', name: 'idle', dryRun: false }]);
    expect(stopping).toMatchObject([{ name: 'idle', reason: 'memory-limit' }]);
    await expectUntouched(caller);
    await expectUntouched(neighbour);
  });

  it('[HEAL-3] at the limit starts wait, the largest is replaced under its leases, and then they go on', async () => {
    const servers = {
      costly: { ...fixture('costly'), sharing: 'shared', maxInstances: 2 },
      good: { ...fixture('costly', '--take=20'), sharing: 'shared', maxInstances: 1 },
      late: fixture('costly'),
    } as const;
    const pool = open(servers, { limits: { memoryLimitMB: 150 }, monitoring: QUICK });
    const { stopping, exceeded, recovered, actions } = watchCosts(pool);
    const [neighbour, caller] = [await Caller.of(pool, 'good'), await Caller.of(pool, 'costly')];
    const late = new Promise<Caller>((resolve) => {
      pool.on('action:taken', ({ action }) => action === 'hold-starts' && resolve(Caller.of(pool, 'late')));
    });
    const recoveredAtStart: number[] = [];
    pool.on('server:starting', ({ name }) => name === 'late' && recoveredAtStart.push(recovered.length));
    await caller.client.callTool('take', { mb: 150 });
    await (await late).more(5);
    await gone(caller.pid);
    await caller.more(5);
    expect(recoveredAtStart).toEqual([1]);
    expect(exceeded).toMatchObject([{ kind: 'total-memory', limit: 150 }]);
    expect(actions.map(({ action, name }) => [action, name])).toEqual([
      ['hold-starts', undefined],
      ['replace', 'costly'],
      ['free-starts', undefined],
    ]);
    expect(stopping).toMatchObject([{ name: 'costly', reason: 'memory-limit' }]);
    expect([caller.failures, caller.client.closeCount]).toEqual([[], 0]);
    await expectUntouched(neighbour);
  });

  it('[HEAL-3] above the CPU limit the one that uses most is replaced under its leases, and no other', async () => {
    const shared = { ...fixture('costly'), sharing: 'shared', maxInstances: 2 } as const;
    const pool = open({ costly: shared, good: shared }, { limits: { cpuLimitPercent: 30 }, monitoring: QUICK });
    const { stopping, exceeded, recovered, actions } = watchCosts(pool);
    const [neighbour, caller] = [await Caller.of(pool, 'good'), await Caller.of(pool, 'costly')];
    await caller.client.callTool('burn', { threads: 2 });
    await gone(caller.pid);
    await until('it is over', () => recovered.length > 0);
    await caller.more(5);
    expect(exceeded).toMatchObject([{ kind: 'total-cpu', limit: 30 }]);
    const expected = { action: 'replace', name: 'costly', dryRun: false };
    expect(actions).toMatchObject([expected, ...actions.slice(1).map(() => expected)]);
    expect(stopping).toMatchObject([{ name: 'costly', reason: 'cpu-limit' }]);
    expect([caller.failures, caller.client.closeCount]).toEqual([[], 0]);
    await expectUntouched(neighbour);
  });
});
