import { describe, expect, it } from 'vitest';
import type { MCPServerPool, PlanMode, PoolPlan } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { leases, setUp, shared } from '../helpers/fake-pool.js';
import { fixture, wrapped } from '../helpers/fixture.js';
import { descendants, isLiving, readProcess } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { flush, until } from '../helpers/until.js';

const stubborn = { ...fixture('ignore-eof-and-term'), eofGrace: 100, termGrace: 100 };
const stepsOf = ({ steps }: { readonly steps: readonly { readonly step: string }[] }) => steps.map(({ step }) => step);
const idsAndReasons = (ends: readonly { instanceId: string; reason: string }[]) =>
  ends.map(({ instanceId, reason }) => `${instanceId} ${reason}`);

/** The plan, having proven that to make it has touched nothing. */
function plan(pool: MCPServerPool, mode: PlanMode): PoolPlan {
  const emitted: unknown[] = [];
  const { emit } = pool;
  pool.emit = ((event: string) => emitted.push(event) > 0) as never;
  const before = [pool.status(), pool.metrics(), pool.cleanup.list(), pool.registry.list()];
  const foreseen = pool.plan(mode);
  expect([pool.status(), pool.metrics(), pool.cleanup.list(), pool.registry.list()]).toEqual(before);
  expect(emitted).toEqual([]);
  pool.emit = emit;
  return foreseen;
}

/** Real servers of every kind: idle, leased, leased with a request in flight, stubborn, a tree, one that starts, one that waits. */
async function busyPool() {
  const pool = open(
    {
      idle: fixture('echo'),
      leased: { ...wrapped('echo'), sharing: 'dedicated' },
      busy: fixture('echo'),
      stubborn,
      never: { ...fixture('never-answers'), maxInstances: 1 },
    },
    { limits: { maxProcesses: 5 } },
  );
  (await pool.getServer('idle')).release();
  const leased = await pool.getServer('leased', { tenant: 'alice', owner: 'session' });
  const client = await RawClient.connect((await pool.getServer('busy')).transport);
  const answer = client.callTool('sleep', { ms: 600 }).catch(() => 'lost');
  (await pool.getServer('stubborn')).release();
  const rejected = [fails(pool.getServer('never')), fails(pool.getServer('never'))];
  await until('all run', () => descendants().length >= 6);
  return { pool, leased, answer, rejected };
}

describe('a plan of a shutdown', () => {
  it.each(['shutdown', 'emergency'] as const)('[PLAN-1] [PLAN-2] %s: is what then happens', async (mode) => {
    const { pool, leased, answer, rejected } = await busyPool();
    const children = descendants().map(({ pid }) => pid);
    const foreseen = plan(pool, mode);
    // No process was hurt.
    expect(children.every(isLiving)).toBe(true);
    expect(foreseen).toMatchObject({ mode, rejected: 2 });
    const { ends } = foreseen;
    expect(ends.map(({ name }) => name).sort()).toEqual(['busy', 'idle', 'leased', 'never', 'stubborn']);
    const of = (name: string) => ends.find((end) => end.name === name);
    expect(of('leased')).toMatchObject({ tenant: 'alice', state: 'ready', pid: leased.pid, drain: 0 });
    expect(of('leased')?.leases).toMatchObject([{ leaseId: leased.id, owner: 'session' }]);
    expect(of('never')).toMatchObject({ state: 'starting', leases: [] });
    const rungs = mode === 'shutdown' ? ['eof', 'SIGTERM', 'SIGKILL'] : ['SIGKILL'];
    for (const end of ends) expect(stepsOf(end)).toEqual(rungs);
    const graces = of('stubborn')?.steps.map(({ grace }) => grace);
    expect(graces).toEqual(mode === 'shutdown' ? [100, 100, 2_000] : [2_000]);
    // Every process is in the plan, and no other.
    expect(new Set(ends.flatMap(({ processes }) => processes.map(({ pid }) => pid)))).toEqual(new Set(children));

    const stopping = record(pool, 'server:stopping');
    const report = await pool.shutdown({ mode: mode === 'shutdown' ? 'graceful' : mode });
    expect(idsAndReasons(stopping).sort()).toEqual(idsAndReasons(ends).sort());
    expect(report.rejected).toBe(foreseen.rejected);
    expect((await Promise.all(rejected)).map(({ code }) => code)).toEqual(['POOL_CLOSED', 'POOL_CLOSED']);
    for (const { id, pid, termination } of report.servers) {
      const end = ends.find(({ instanceId }) => instanceId === id);
      expect(pid).toBe(end?.pid);
      // Each in its order, up to the one that was enough.
      const taken = stepsOf(termination ?? { steps: [] });
      expect(taken).toEqual(rungs.slice(0, taken.length));
      if (end?.name === 'stubborn') expect(taken).toEqual(rungs);
    }
    expect(children.filter(isLiving)).toEqual([]);
    // Requests in flight are waited for where the plan says so.
    expect([of('busy')?.drain, await answer]).toEqual(mode === 'shutdown' ? [5_000, 'slept 600 ms'] : [0, 'lost']);
    expect(plan(pool, mode).ends).toEqual([]);
  });

  it('[PLAN-3] shows what each step reaches: the leader, the groups, and each process that has left for one of a stranger', async () => {
    const pool = open({ tree: { ...fixture('fork-tree', '--count=2', '--setsid') } });
    const lease = await pool.getServer('tree');
    await until('they run', () => descendants().filter(({ command }) => command === 'sleep').length === 2);
    const [end] = plan(pool, 'shutdown').ends;
    const children = descendants();
    expect(end?.processes).toEqual(expect.arrayContaining(children.map(({ pid, command }) => ({ pid, command }))));
    const [eof, term] = end?.steps ?? [];
    expect(eof).toMatchObject({ step: 'eof', groups: [], pids: [lease.pid] });
    const groups = new Set(children.map(({ pid }) => readProcess(pid)?.group));
    expect(groups.size).toBe(3);
    expect(term).toMatchObject({ step: 'SIGTERM', pids: [] });
    expect(new Set(term?.groups)).toEqual(groups);
  });

  it('[PLAN-1] shows what is being ended already, and what could not be', async () => {
    const { pool, launcher, emitted } = setUp(
      { servers: { a: { command: 'fake', maxInstances: 2 } }, cleanup: { retries: 0 } },
      { end: false },
    );
    const [one, two] = await Promise.all([pool.getServer('a'), pool.getServer('a')]);
    void pool.restart('a');
    one.release();
    two.release();
    await flush();
    launcher.servers[0]?.survive();
    await until('it is quarantined', () => emitted.some(({ event }) => event === 'server:quarantined'));
    const { ends } = plan(pool, 'shutdown');
    expect(ends.map(({ state, reason }) => [state, reason]).sort()).toEqual([
      ['quarantined', 'restart'],
      ['stopping', 'restart'],
    ]);
    // Of processes that are none of this machine, nothing more is known.
    for (const { steps, processes } of ends) expect([steps, processes]).toEqual([[], []]);
  });
});

describe('a plan of the room that could be made', () => {
  const server = { command: 'fake' };

  it('[PLAN-1] [PLAN-2] is what then happens: idle ones, surplus starts, then silent leases', async () => {
    const { pool, clock, launcher, emitted } = setUp({
      servers: {
        a: server,
        b: server,
        c: { ...server, leaseIdleTimeout: 5_000 },
        d: { ...server, leaseIdleTimeout: 5_000, maxUses: 1 },
        talks: { ...server, leaseIdleTimeout: 5_000 },
        late: server,
        new: { ...server, maxInstances: 10 },
      },
      limits: { maxProcesses: 10 },
    });
    const first = await pool.getServer('b');
    const second = await pool.getServer('a');
    const [other] = await Promise.all([pool.getServer('a')]);
    const [silent, once, talks] = await Promise.all(['c', 'd', 'talks'].map((name) => pool.getServer(name)));
    first.release();
    clock.advance(10);
    other.release();
    clock.advance(10);
    second.release();
    const client = await RawClient.connect(talks?.transport as never);
    await clock.advanceAndFlush(6_000);
    await client.request('something');
    // A start ahead of any caller, on its way.
    launcher.auto = { ...launcher.auto, initialize: false };
    const warming = pool.warm('late');
    await flush();

    const { ends, rejected } = plan(pool, 'reclaim');
    expect(rejected).toBe(0);
    expect(ends.map(({ name, reason }) => [name, reason])).toEqual([
      ['b', 'evicted'],
      ['a', 'evicted'],
      ['a', 'evicted'],
      ['late', 'evicted'],
      ['c', 'evicted'],
      ['d', 'max-uses'],
    ]);
    expect(ends.map(({ leases }) => leases.map(({ leaseId }) => leaseId))).toEqual([
      ...[[], [], [], []],
      [silent?.id],
      [once?.id],
    ]);
    expect(ends[4]?.leases[0]?.silent).toBeGreaterThanOrEqual(5_000);

    launcher.auto = { ...launcher.auto, initialize: true };
    emitted.length = 0;
    // Nine of them need all the room there is, one after the other.
    const callers = Array.from({ length: 9 }, () => pool.getServer('new'));
    await until('all but one have a server', () => pool.status().servers.new?.instances.length === 9);
    const stopped = emitted.flatMap(({ event, payload }) => (event === 'server:stopping' ? [payload] : []));
    expect(idsAndReasons(stopped)).toEqual(idsAndReasons(ends));
    const reclaimed = emitted.flatMap(({ event, payload }) => (event === 'lease:reclaimed' ? [payload.leaseId] : []));
    expect(reclaimed).toEqual(ends.flatMap(({ leases }) => leases.map(({ leaseId }) => leaseId)));
    for (const lease of await Promise.all(callers)) lease.release();
    await warming.catch(() => {});
  });

  it('[PLAN-1] says of idle ones that have run out of time that this is why, though none is asked for its room', async () => {
    const { pool, clock } = setUp({
      servers: {
        a: { ...server, idleTimeout: 100 },
        b: { ...server, maxLifetime: 100 },
        c: { ...server, minIdle: 1, idleTimeout: 100 },
      },
    });
    for (const name of ['a', 'b', 'c']) (await pool.getServer(name)).release();
    await flush();
    // The clock has gone on, but no timer had its turn yet: as in a host that was blocked.
    const { now } = clock;
    clock.now = () => now.call(clock) + 500;
    const { ends } = plan(pool, 'reclaim');
    clock.now = now;
    expect(ends.map(({ name, reason }) => [name, reason]).sort()).toEqual([
      ['a', 'idle'],
      ['b', 'max-lifetime'],
      ['c', 'evicted'],
      ['c', 'idle'],
    ]);
  });

  it.each([undefined, 'graceful', 'SHUTDOWN', 7])('[PLAN-4] refuses %o', (mode) => {
    const { pool } = setUp({ servers: { a: server } });
    expect(() => pool.plan(mode as PlanMode)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTIONS', message: expect.stringContaining("'reclaim', 'emergency'") }),
    );
  });
});

describe('a plan of a restart of all servers', () => {
  it('[PLAN-1] [PLAN-2] is what then happens: idle ones end, shared leases move, other leases are waited for', async () => {
    const { pool, emitted } = setUp({ servers: { a: shared, held: { command: 'fake' }, none: { command: 'fake' } } });
    const [one] = await leases(pool, 1);
    void one?.client.request('tools/list');
    const held = await pool.getServer('held', { owner: 'o' });
    (await pool.getServer('held', { owner: 'p' })).release();
    const { ends, rejected } = plan(pool, 'restart');
    expect(rejected).toBe(0);
    expect(ends).toMatchObject([
      { name: 'a', reason: 'restart', wave: 0, leases: [] },
      { name: 'held', reason: 'restart', wave: 1, leases: [{ leaseId: held.id, owner: 'o' }], drain: 0 },
      { name: 'held', reason: 'restart', wave: 1, leases: [], drain: 0 },
    ]);
    const restarted = pool.restartAll();
    await flush();
    held.release();
    expect((await restarted).ok).toBe(true);
    const stopping = emitted.flatMap(({ event, payload }) => (event === 'server:stopping' ? [payload] : []));
    expect(idsAndReasons(stopping).sort()).toEqual(idsAndReasons(ends).sort());
  });

  it('[PLAN-1] gives requests of shared servers time, and leaves out what ends already', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared, b: { command: 'fake' } } }, { answer: false, end: false });
    const [one] = await leases(pool, 1);
    void one?.client.request('tools/call', { name: 'slow' });
    (await pool.getServer('b')).release();
    await flush();
    void pool.restart('b');
    expect(plan(pool, 'restart').ends).toMatchObject([{ name: 'a', drain: 30_000, leases: [] }]);
    // One that is being started to replace another is fresh.
    launcher.auto = { ...launcher.auto, initialize: false };
    void pool.restart('a');
    await flush();
    expect(launcher.living).toHaveLength(3);
    expect(plan(pool, 'restart').ends.map(({ pid }) => pid)).not.toContain(launcher.last.pid);
  });
});
