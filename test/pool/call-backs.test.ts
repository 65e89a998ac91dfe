import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { type AnyPoolEvent, MCPServerPool, POOL_EVENTS, type PoolEvents, type PooledServer } from '../../src/index.js';
import { CLEANUP_EVENTS, MONITOR_EVENTS } from '../../src/pool/events.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher } from '../helpers/fake-launcher.js';
import { assertJsonSafe } from '../helpers/json-safe.js';
import { assertSettled } from '../helpers/settled.js';
import { flush } from '../helpers/until.js';

const REGISTRY_EVENTS = ['registry:added', 'registry:removed'] as const;
/** Every event of the pool, of its registry and of its cleanup queue. */
const ALL = [
  ...POOL_EVENTS.map((event) => ({ of: 'pool' as const, event })),
  ...REGISTRY_EVENTS.map((event) => ({ of: 'registry' as const, event })),
  ...CLEANUP_EVENTS.map((event) => ({ of: 'cleanup' as const, event })),
];
type Point = (typeof ALL)[number];

/** Not emitted in the life below: they need a dead host, a host that contains less, or a fault of this library. */
const ELSEWHERE = [
  'orphan:reaped',
  'containment:degraded',
  'audit:failed',
  'internal:error',
  'registry:repaired',
  // For more conditions than there are.
  'alert:dropped',
  // Nor is anything measured there, and every check is good.
  ...MONITOR_EVENTS.filter((event) => event !== 'listener:error'),
  ...['health:changed', 'stuck:detected', 'service-level:breached', 'service-level:recovered'],
  ...['drill:started', 'drill:finished'],
  ...['config:applied', 'config:rejected', 'config:pool-changed', 'config:warned'],
  ...['package:resolving', 'package:resolved', 'package:check-failed', 'package:fallback'],
] as readonly string[];

const RESTART = { maxRestarts: 1, window: Infinity, minDelay: 1, cooldown: 1_000 };
const SHARED = { command: 'fake', sharing: 'shared', maxInstances: 2, maxSessions: 2, restart: RESTART } as const;
const EXCLUSIVE = { command: 'fake', maxInstances: 1, leaseIdleTimeout: 5_000, idleTimeout: 1_000 } as const;

/** Every process has tools of its own. */
class OtherTools extends FakeLauncher {
  override launch(...args: Parameters<FakeLauncher['launch']>) {
    const server = super.launch(...args);
    const tools = [{ name: `tool ${server.pid}` }];
    server.onRequest = ({ method }) => (method === 'tools/list' ? { tools } : {});
    return server;
  }
}

/** A pool in which everything happens that has an event, with what its callers hold. */
class World {
  readonly clock = new ManualClock();
  readonly launcher = new OtherTools();
  readonly pool = new MCPServerPool(
    {
      servers: { s: SHARED, x: EXCLUSIVE, d: { command: 'fake', sharing: 'dedicated' } },
      limits: { maxProcesses: 4 },
      leakDetection: 10_000,
      cleanup: { retries: 0 },
      alerts: { tiers: [0, 0].map((after) => ({ after, notify: () => {} })) },
    },
    { clock: this.clock, launcher: this.launcher },
  );
  readonly held = new Set<PooledServer>();
  /** `of event`, as the first and as the last listener heard them. */
  readonly first: string[] = [];
  readonly last: string[] = [];
  readonly heard: AnyPoolEvent[] = [];
  readonly failures: unknown[] = [];
  crashes = 0;
  evicted = 0;
  readonly #calls: Promise<unknown>[] = [];

  constructor() {
    this.pool.onAny((...event) => void this.heard.push(event));
    this.pool.on('server:exited', ({ unexpected }) => {
      if (unexpected) this.crashes += 1;
    });
    this.pool.on('server:stopping', ({ reason }) => {
      if (reason === 'evicted') this.evicted += 1;
    });
  }

  on({ of, event }: Point, listener: () => void): void {
    const emitter = (of === 'pool' ? this.pool : this.pool[of]) as MCPServerPool;
    emitter.on(event as 'pool:closed', listener);
  }

  /** Has all events written down, and the state looked at at each. */
  record(into: string[]): void {
    for (const point of ALL) {
      this.on(point, () => {
        into.push(`${point.of} ${point.event}`);
        this.look();
      });
    }
  }

  look(): void {
    try {
      assertSettled(this.pool);
    } catch (failure) {
      this.failures.push(failure);
    }
  }

  acquire(name: string, options: { tenant?: string; owner?: string; timeout?: number } = {}): Promise<void> {
    return this.manage(this.pool.getServer(name, options).then((lease) => void this.held.add(lease)));
  }

  /** The calls may fail, as a listener may have taken away whatever they need; in no other way, and none may hang. */
  manage(call: Promise<unknown>): Promise<void> {
    const managed = call.then(
      () => {},
      (error: unknown) => {
        if (!(error instanceof PoolError)) this.failures.push(error);
      },
    );
    this.#calls.push(managed);
    return managed;
  }

  release(count: number): void {
    for (const lease of [...this.held].slice(0, count)) {
      this.held.delete(lease);
      lease.release();
    }
  }

  async connect(lease: PooledServer | undefined, capabilities: object = {}): Promise<void> {
    if (lease === undefined) return;
    try {
      const client = new RawClient(lease.transport);
      await client.transport.start();
      void client.request('initialize', { protocolVersion: '2025-11-25', capabilities, clientInfo: {} });
      void client.notify('notifications/initialized').catch(() => {});
      void client.request('tools/list');
    } catch (error) {
      if (!(error instanceof PoolError)) this.failures.push(error);
    }
  }

  #exit(name: string): void {
    this.launcher.livingOf(name)[0]?.exit({ exitCode: 1 });
  }

  /** From the first call to the last. What a listener took away is left out. */
  async live(): Promise<void> {
    const { clock, launcher, pool } = this;
    // Cold, warm, waiting, served, rejected.
    await this.acquire('x');
    const waiting = this.acquire('x', { timeout: 100 });
    await flush();
    launcher.livingOf('x')[0]?.complain('a line of stderr');
    launcher.livingOf('x')[0]?.say('a line that is no message\n');
    await clock.advanceAndFlush(100);
    await waiting;
    const served = this.acquire('x');
    this.release(1);
    await flush();
    await Promise.race([served, flush()]);
    // A lease that is silent is taken back, and one that is held for too long reported.
    await clock.advanceAndFlush(5_000);
    void this.acquire('x');
    await flush();
    await clock.advanceAndFlush(10_000);
    this.release(9);
    // Idle for too long.
    await clock.advanceAndFlush(1_000);
    // A crash, with a restart that has other tools, and a client that is missing something.
    await this.acquire('s', { tenant: 't' });
    await this.acquire('s', { tenant: 't' });
    await this.connect([...this.held][0], { sampling: {} });
    await flush();
    this.#exit('s');
    await flush(8);
    await clock.advanceAndFlush(10);
    // Replaced, then lost for good: its breaker opens, cools down, and closes.
    if (pool.status().state === 'open') void this.manage(pool.restart('s', { timeout: 50 }).then(() => {}));
    await flush(8);
    await clock.advanceAndFlush(100);
    launcher.auto = { ...launcher.auto, initialize: false };
    void this.acquire('s', { tenant: 'u', timeout: 5_000 });
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    void this.acquire('s', { tenant: 'u', timeout: 5_000 });
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await flush();
    launcher.auto = { ...launcher.auto, initialize: true };
    await clock.advanceAndFlush(1_000);
    await Promise.race([this.acquire('s', { tenant: 'u', timeout: 500 }), flush(10)]);
    // A process that cannot be ended, and then is dead all the same.
    this.release(9);
    await Promise.race([this.acquire('d'), flush(10)]);
    const stubborn = launcher.livingOf('d')[0];
    if (stubborn) stubborn.auto = { ...stubborn.auto, end: false };
    this.release(9);
    await flush();
    pool.cleanup.escalate();
    stubborn?.survive();
    await flush();
    if (stubborn) stubborn.auto = { ...stubborn.auto, end: true };
    await clock.advanceAndFlush(30_000);
    stubborn?.exit();
    await flush();
    // A restart that waits for a lease, and takes it back.
    await Promise.race([this.acquire('x'), flush(10)]);
    if (pool.status().state === 'open') void this.manage(pool.restart('x', { timeout: 50 }));
    await flush();
    await clock.advanceAndFlush(50);
    this.release(9);
    await flush();
    // One that is asked to end, and does not at once.
    await Promise.race([this.acquire('x'), flush(10)]);
    // An alert that is told to both tiers, gets worse, and is acknowledged.
    for (const severity of ['warning', 'critical'] as const)
      pool.alerts.raise({ kind: 'breaker-open', severity, message: 'as the host says' });
    pool.alerts.acknowledge(pool.alerts.active()[0]?.id ?? 'none', 'Ada');
  }

  async close(): Promise<void> {
    const report = this.pool.shutdown();
    await flush();
    await this.clock.advanceAndFlush(1_000);
    for (const server of this.launcher.living) server.exit();
    // Only the one that cannot be ended at first.
    expect((await report).survivors.filter(({ name }) => name !== 'd')).toEqual([]);
    for (const server of this.launcher.living) server.exit();
    await Promise.all(this.#calls);
    await flush();
    expect(this.pool.status()).toMatchObject({ state: 'closed', processes: 0, leases: 0, waiting: 0, idle: 0 });
    expect(this.pool.registry.size).toBe(0);
    expect(this.launcher.living).toEqual([]);
    expect(this.clock.pending).toBe(0);
    this.#compareMetrics();
  }

  /** What is counted is what was emitted. */
  #compareMetrics(): void {
    const emitted = (event: keyof PoolEvents) => this.first.filter((one) => one === `pool ${event}`).length;
    expect(this.pool.metrics()).toMatchObject({
      started: emitted('server:starting'),
      startFailures: emitted('server:failed'),
      crashes: this.crashes,
      stopped: emitted('server:stopped'),
      quarantined: emitted('server:quarantined'),
      acquired: emitted('lease:acquired'),
      released: emitted('lease:released'),
      reclaimed: emitted('lease:reclaimed'),
      leaked: emitted('lease:leaked'),
      rejected: emitted('queue:rejected'),
      evicted: this.evicted,
    });
    expect(emitted('server:stopped')).toBe(emitted('server:starting'));
    expect(emitted('lease:released')).toBe(emitted('lease:acquired'));
  }
}

/** What a listener may do. */
const ACTIONS: Record<string, (world: World) => void> = {
  'releases a lease': (world) => world.release(1),
  'releases all leases of a tenant': ({ pool }) => void pool.releaseTenant('t'),
  'asks for servers': (world) => {
    for (const name of ['x', 's']) void world.acquire(name, { tenant: 't', timeout: 300 });
  },
  'restarts servers': (world) => {
    for (const name of ['x', 's']) void world.manage(world.pool.restart(name, { timeout: 50 }));
  },
  'removes a server': (world) => void world.manage(world.pool.removeServer('s', { timeout: 50 })),
  'removes another server': (world) => void world.manage(world.pool.removeServer('x', { timeout: 50 })),
  'changes a server': (world) =>
    void world.manage(world.pool.updateServer('s', { ...SHARED, args: ['changed'] }, { timeout: 50 })),
  'shuts the pool down': (world) => void world.manage(world.pool.shutdown()),
  'shuts the pool down at once': (world) => void world.manage(world.pool.shutdown({ mode: 'emergency' })),
  throws: () => {
    throw new Error('a listener that throws');
  },
};

async function live(point?: Point, act: (world: World) => void = () => {}): Promise<World> {
  const world = new World();
  world.record(world.first);
  let isActing = false;
  if (point) {
    world.on(point, () => {
      // Once is enough: some would go on for ever.
      if (isActing) return;
      isActing = true;
      act(world);
    });
  }
  world.record(world.last);
  try {
    await world.live();
  } finally {
    await world.close();
  }
  if (world.failures.length > 0) throw world.failures[0];
  // Had a listener been called within what another one caused, the last would have heard it in another order.
  expect(world.last).toEqual(world.first);
  return world;
}

describe('a listener that calls back', () => {
  it('[EVENT-4] [EVENT-11] sees settled state at every event there is, and a payload that can be written as JSON', async () => {
    const { first, heard } = await live();
    for (const event of heard) assertJsonSafe(event);
    const expected = ALL.filter(({ event }) => !ELSEWHERE.includes(event) && event !== 'listener:error');
    expect(new Set(first)).toEqual(new Set(expected.map(({ of, event }) => `${of} ${event}`)));
  });

  for (const [what, act] of Object.entries(ACTIONS)) {
    it(`[EVENT-4] [EVENT-5] and ${what} is heard in order by all others, and breaks nothing, at whatever event`, async () => {
      for (const point of ALL) {
        if (ELSEWHERE.includes(point.event)) continue;
        const world = await live(point, act).catch((error: unknown) => {
          throw new Error(`at ${point.of} ${point.event}`, { cause: error });
        });
        // A registry has listeners of its own, also for that.
        const isError = what === 'throws' && point.of !== 'registry' && point.event !== 'listener:error';
        expect(world.first.includes('pool listener:error')).toBe(isError);
      }
    });
  }
});
