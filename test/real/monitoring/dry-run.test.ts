import { expect, it } from 'vitest';
import type { PoolEvents } from '../../../src/index.js';
import { Caller, expectUntouched } from '../../helpers/caller.js';
import { plain, QUICK, watchCosts } from '../../helpers/costly.js';
import { fixture } from '../../helpers/fixture.js';
import { isLiving } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

const one = { ...fixture('costly'), expectedProcesses: 1, sharing: 'exclusive' } as const;

/** Real servers that take memory, burn CPU and fork, one after the other; returns what was told, each once. */
async function costs(dryRun: boolean): Promise<{ said: ReturnType<typeof plain>[]; living: boolean[] }> {
  const pool = open(
    {
      takes: { ...one, memoryLimitMB: 80 },
      burns: { ...one, cpuLimitPercent: 25, cpuWindow: 2_000 },
      forks: one,
      good: { ...one, sharing: 'shared', memoryLimitMB: 80 },
    },
    { monitoring: { ...QUICK, dryRun, levels: { enforce: true, cooldown: 500 } } },
  );
  const { actions, stopping } = watchCosts(pool);
  const neighbour = await Caller.of(pool, 'good');
  const tools = [
    ['takes', 'take', { mb: 150 }],
    ['burns', 'burn', { threads: 2 }],
    ['forks', 'fork', { count: 40 }],
  ] as const;
  const isTold = (told: PoolEvents['action:taken'], name: string) => told.name === name;
  const pids: number[] = [];
  for (const [name, tool, args] of tools) {
    const { lease, client, pid } = await Caller.of(pool, name);
    pids.push(pid);
    await pool.monitor.sample();
    await client.callTool(tool, args);
    await until(`the action for ${name}`, () => actions.some((told) => isTold(told, name)));
    if (!dryRun) await until(`${name} has ended`, () => !isLiving(pid));
    // Nothing has changed: it serves on.
    else await client.callTool('pid').then((answer) => expect(answer).toBe(lease.pid));
  }
  const living = pids.map(isLiving);
  if (dryRun) {
    expect(stopping).toEqual([]);
    // No start is refused, although the level lasts.
    await expectUntouched(await Caller.of(pool, 'takes', { owner: 'new' }));
    expect(pool.metrics()).toMatchObject({ monitorActions: 0 });
  }
  await expectUntouched(neighbour);
  expect(actions.every((told) => told.dryRun === dryRun)).toBe(true);
  // Starts are freed by what was done.
  const acted = actions.filter(({ action }) => action !== 'free-starts');
  const said = acted.map((told) => ({ ...plain(told), dryRun: false }));
  return { said: said.filter((one, index) => said.findIndex((other) => same(one, other)) === index), living };
}

function same(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

it('[HEAL-8] with dryRun the same is told of real servers that cost too much, and nothing ends', async () => {
  const real = await costs(false);
  const dry = await costs(true);
  expect(real.living).toEqual([false, false, false]);
  expect(dry.living).toEqual([true, true, true]);
  expect(dry.said).toEqual(real.said);
  expect(new Set(real.said.map(({ action }) => action))).toEqual(new Set(['replace', 'refuse-starts', 'end-growing']));
});
