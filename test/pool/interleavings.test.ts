import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { PoolError } from '../../src/errors.js';
import {
  MCPServerPool,
  POOL_EVENTS,
  type PoolEvents,
  type PooledServer,
  type ServerDefinition,
} from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher } from '../helpers/fake-launcher.js';
import { scopeOf } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { assertSettled } from '../helpers/settled.js';
import { flush } from '../helpers/until.js';

const MAX_PROCESSES = 4;
const MAX_INSTANCES = 3;

/** One call of `getServer` and what became of it. */
interface Call {
  /** Whether it may have got, or waits for, the lease of another call. */
  readonly joins: boolean;
  readonly number: number;
  readonly kind: string;
  /** Of its definition, when it was made. */
  readonly version: number;
  readonly abort: AbortController;
  lease?: PooledServer;
  error?: unknown;
}

/** `a` and `b` are exclusive, `s` is shared. */
type ServerName = 'a' | 'b' | 's';
/** One turn for all starts, fewer turns than processes, and as many. */
const concurrentStarts = fc.constantFrom(1, 2, MAX_PROCESSES);

const essential = fc.constantFrom<ServerName | undefined>(undefined, 'a', 's');
const serverName = fc.constantFrom<ServerName>('a', 'b', 's');

/** Most callers of a host have an owner, and some have none. */
type Owner = 'o' | 'p' | undefined;
const owner = fc.constantFrom<Owner>('o', 'p', undefined);

type Step =
  | {
      readonly do: 'acquire';
      readonly server: ServerName;
      readonly tenant: 't' | 'u';
      readonly owner: Owner;
      readonly reuseLease: boolean;
      readonly timeout: number;
    }
  | { readonly do: 'abort' | 'release'; readonly which: number }
  | { readonly do: 'spawned' | 'initialized' | 'refuse' | 'exit' | 'die'; readonly which: number }
  | { readonly do: 'babble' | 'complain' | 'ask'; readonly which: number }
  | { readonly do: 'update' | 'restart' | 'warm' | 'remove'; readonly server: ServerName }
  | { readonly do: 'limit'; readonly server: ServerName; readonly most: number }
  | { readonly do: 'forget'; readonly tenant: 't' | 'u' }
  | { readonly do: 'leave'; readonly owner: 'o' | 'p' }
  | { readonly do: 'reset'; readonly server: ServerName; readonly tenant: 't' | 'u' | undefined }
  | { readonly do: 'arm'; readonly event: ArmedEvent | 'client'; readonly action: Step }
  | { readonly do: 'throw' | 'shutdown' | 'emergency' }
  | { readonly do: 'advance'; readonly ms: number };

/** In listeners of these events the world does not act on the pool: they do not happen here, or have nothing after them. */
const UNARMED = {
  'server:quarantined': 'every process of this world can be ended',
  'cleanup:failed': 'the same',
  'tools:changed': 'the tools stay the same',
  'capability:undeclared': 'no client declares any',
  'internal:error': 'the library must have a fault',
  'orphan:reaped': 'no process is real',
  'containment:degraded': 'the same',
  'audit:failed': 'no pool has an audit trail',
  'drill:started': 'no drill is made',
  'drill:finished': 'the same',
  'config:applied': 'no configuration is applied',
  'config:rejected': 'the same',
  'config:pool-changed': 'the same',
  'level:changed': 'no process is real, so none is measured',
  'limit:exceeded': 'the same',
  'limit:recovered': 'the same',
  'growth:detected': 'the same',
  'leak:suspected': 'the same',
  'leak:confirmed': 'the same',
  'action:taken': 'the same',
  'monitor:degraded': 'the same',
  'pool:closed': 'a closed pool does nothing more',
} as const satisfies Partial<Record<keyof PoolEvents, string>>;
type ArmedEvent = Exclude<keyof PoolEvents, keyof typeof UNARMED>;

/** All other events, those included that a pool has not had before. */
const ARMED = POOL_EVENTS.filter((event): event is ArmedEvent => !(event in UNARMED));

const simpleStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      server: serverName,
      tenant: fc.constantFrom('t' as const, 'u' as const),
      owner,
      reuseLease: fc.boolean(),
      timeout: fc.integer({ min: 10, max: 2_000 }),
    }),
  },
  {
    weight: 11,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'abort' as const,
        'release' as const,
        'spawned' as const,
        'initialized' as const,
        'refuse' as const,
        'exit' as const,
        'die' as const,
        'babble' as const,
        'complain' as const,
        'ask' as const,
      ),
      which: fc.nat(30),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('update' as const, 'restart' as const, 'warm' as const, 'remove' as const),
      server: serverName,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('limit' as const),
      server: serverName,
      most: fc.integer({ min: 1, max: MAX_INSTANCES }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('forget' as const), tenant: fc.constantFrom('t' as const, 'u' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('leave' as const), owner: fc.constantFrom('o' as const, 'p' as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('reset' as const),
      server: serverName,
      tenant: fc.constantFrom('t' as const, 'u' as const, undefined),
    }),
  },
  {
    weight: 1,
    // 3 s: the turn of a start is over.
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.constant(3_000)),
    }),
  },
);

/** What a listener or a client does. A shutdown ends the world, so it is rare. */
const armedStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: simpleStep },
  { weight: 4, arbitrary: fc.constant<Step>({ do: 'throw' }) },
  { weight: 1, arbitrary: fc.constantFrom<Step[]>({ do: 'shutdown' }, { do: 'emergency' }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: simpleStep },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('arm' as const),
      event: fc.constantFrom(...ARMED, 'client' as const),
      action: armedStep,
    }),
  },
);

/** Every failure is the first in a row, so that no restart waits: the clock of these tests mostly stands still. */
const RESTART = { maxRestarts: 8, stableAfter: 0 };
const SHARED: Partial<ServerDefinition> = { sharing: 'shared', maxSessions: 2, restart: RESTART };

const START_FAILURES = ['SERVER_EXITED', 'SPAWN_FAILED', 'START_TIMEOUT', 'BREAKER_OPEN'];

/** A pool with servers that do nothing by themselves, and everything that its callers went through. */
class World {
  readonly clock = new ManualClock();
  readonly launcher = new FakeLauncher({ spawn: false, initialize: false, end: false });
  readonly calls: Call[] = [];
  readonly managed: Promise<unknown>[] = [];
  /** Those of them that have not come to an end. */
  managing = 0;
  /** What was seen to be wrong when a call was served. */
  readonly failures: unknown[] = [];
  /** By instance: which callers it has served. */
  readonly users = new Map<string, string>();
  /** Ids of leases with a client. */
  readonly connected = new Set<string>();
  /** Ids of leases that have ended. */
  readonly over = new Set<string>();
  readonly limits = { a: MAX_INSTANCES, b: MAX_INSTANCES, s: MAX_INSTANCES };
  /** Of the definitions now. */
  readonly args: Record<ServerName, readonly string[]> = { a: [], b: [], s: [] };
  /** What the handlers of clients do next, one each. */
  readonly #armed: Step[] = [];
  #asked = 0;
  readonly #essential: ServerName | undefined;
  #failed = 0;
  readonly pool: MCPServerPool;
  readonly parts: ReturnType<typeof partsOf>;

  get pending(): Call[] {
    return this.calls.filter(({ lease, error }) => lease === undefined && error === undefined);
  }

  get held(): Call[] {
    return this.calls.filter(({ lease }) => lease !== undefined && !this.over.has(lease.id));
  }

  constructor(concurrentStarts: number, essential?: ServerName) {
    this.#essential = essential;
    const servers = {
      a: { ...this.#priorityOf('a'), command: 'fake-a', maxInstances: MAX_INSTANCES, idleTimeout: 500 },
      b: { command: 'fake-b', maxInstances: MAX_INSTANCES, startTimeout: 700, minIdle: 1 },
      s: { ...this.#priorityOf('s'), ...SHARED, command: 'fake-s', maxInstances: MAX_INSTANCES, startTimeout: 900 },
    };
    const limits = { maxProcesses: MAX_PROCESSES, concurrentStarts };
    this.pool = new MCPServerPool(
      { servers, limits, leakDetection: 400 },
      { clock: this.clock, launcher: this.launcher },
    );
    this.parts = partsOf(this.pool);
    this.pool.on('lease:released', ({ leaseId }) => this.over.add(leaseId));
    this.pool.on('server:failed', () => {
      this.#failed += 1;
    });
    // [EVENT-4] Nothing that a listener sees is half-done.
    for (const event of POOL_EVENTS) this.pool.on(event, () => this.#look());
  }

  /** One essential server at most: its trees leave a slot to the others. */
  #priorityOf(server: ServerName): Pick<ServerDefinition, 'priority'> {
    return server === this.#essential ? { priority: 'essential' } : {};
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'advance') await this.clock.advanceAndFlush(step.ms);
    else this.#do(step);
    await flush();
    this.check();
  }

  check(): void {
    if (this.failures.length > 0) throw this.failures[0];
    // [BUDGET-1] Whatever lives counts, also what is being ended.
    expect(this.launcher.living.length).toBeLessThanOrEqual(MAX_PROCESSES);
    for (const name of ['a', 'b', 's']) expect(this.launcher.livingOf(name).length).toBeLessThanOrEqual(MAX_INSTANCES);
    const leases = [...new Map(this.held.map(({ lease }) => [lease?.id, lease])).values()];
    const exclusive = leases.flatMap((lease) => (lease?.name === 's' ? [] : [lease?.instanceId]));
    expect(new Set(exclusive).size).toBe(exclusive.length);
    this.#checkShared();
    this.#checkServed();
    assertInsides(this.parts);
    const status = this.pool.status();
    expect(status.processes).toBeLessThanOrEqual(MAX_PROCESSES);
    // [LEASE-4] Those that wait for one lease are one caller.
    const groups = new Set(this.pending.map(({ joins, kind, number }) => (joins ? kind : number)));
    expect(status.waiting).toBe(groups.size);
    expect(status.leases).toBe(new Set(this.held.map(({ lease }) => lease?.id)).size);
    expect(status.idle).toBeLessThanOrEqual(status.processes);
  }

  /** [QUEUE-3] No caller waits while an instance is free for it, whatever came before it. */
  #checkServed(): void {
    const { servers, state } = this.pool.status();
    // What is being replaced serves no new caller.
    if (state !== 'open' || this.managing > 0) return;
    for (const { kind } of this.pending) {
      const [name = ''] = kind.split('/');
      const seats = name === 's' ? (SHARED.maxSessions ?? 0) : 1;
      const free = servers[name]?.instances.filter((instance) => {
        if (instance.state !== 'ready' || instance.leases >= seats) return false;
        // [TENANT-5] One that has served no lease is free for all.
        return instance.uses === 0 || userOf({ ...instance, name }) === userOfKind(kind);
      });
      expect(free ?? []).toEqual([]);
    }
  }

  #arm({ event, action }: Extract<Step, { do: 'arm' }>): void {
    if (event === 'client') this.#armed.push(action);
    else this.pool.once(event, () => this.#do(action));
  }

  /** A handler of a client is called. */
  #client(): void {
    // [EVENT-6] As a listener, it sees nothing half-done.
    this.#look();
    const action = this.#armed.shift();
    if (action) this.#do(action);
  }

  /** Its client is one that may call the pool whenever it is called. */
  #connect({ transport }: PooledServer): void {
    transport.onmessage = transport.onclose = transport.onerror = () => this.#client();
    void transport.start().catch(() => {});
    this.#send(transport, 'initialize');
  }

  #send(transport: PooledServer['transport'], method: string): void {
    this.#asked += 1;
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
    void transport.send({ jsonrpc: '2.0', id: this.#asked, method, params }).catch(() => {});
  }

  #look(): void {
    try {
      assertSettled(this.pool);
    } catch (failure) {
      this.failures.push(failure);
    }
  }

  /** [TENANT-1] An instance serves one tenant, and never more leases than it has seats. */
  #checkShared(): void {
    const tenants = new Map<string | undefined, string[]>();
    for (const lease of new Map(this.held.map(({ lease }) => [lease?.id, lease])).values()) {
      if (lease?.name === 's')
        tenants.set(lease.instanceId, [...(tenants.get(lease.instanceId) ?? []), `${lease.tenant}`]);
    }
    for (const of of tenants.values()) {
      expect(of.length).toBeLessThanOrEqual(SHARED.maxSessions ?? 0);
      expect(new Set(of).size).toBe(1);
    }
  }

  /** Servers start, answer and end by themselves; callers give back what they get. Nothing may be left. */
  async settle(): Promise<void> {
    this.launcher.auto = { spawn: true, initialize: true, answer: true, end: true };
    for (let round = 0; round < 200 && this.pending.length + this.held.length > 0; round++) {
      for (const server of this.launcher.living) {
        server.spawned();
        server.initialize();
        if (server.ending) server.exit();
      }
      for (const call of this.held) this.#release(call);
      await flush();
      this.check();
    }
    expect(this.pending).toEqual([]);
  }

  async close(): Promise<void> {
    const report = this.pool.shutdown();
    for (let round = 0; round < 50 && this.launcher.living.length > 0; round++) {
      for (const server of this.launcher.living) server.exit();
      await flush();
    }
    expect((await report).survivors).toEqual([]);
    await Promise.all(this.managed);
    expect(this.pool.status()).toMatchObject({ state: 'closed', processes: 0, leases: 0, waiting: 0 });
    expect(this.pool.registry.size).toBe(0);
    expect(this.clock.pending).toBe(0);
    const { started, stopped, acquired, released } = this.pool.metrics();
    expect([stopped, released]).toEqual([started, acquired]);
  }

  #do(step: Step): void {
    // What was armed and has not happened before the end does not happen.
    if (this.pool.status().state !== 'open') return;
    if (step.do === 'throw') throw new Error('a listener that throws');
    if (step.do === 'shutdown') void this.pool.shutdown();
    else if (step.do === 'emergency') void this.pool.shutdown({ mode: 'emergency' });
    else if (step.do === 'acquire') this.#acquire(step);
    else if (step.do === 'arm') this.#arm(step);
    else if (step.do === 'forget') this.#forget(step.tenant);
    else if (step.do === 'leave') this.pool.releaseOwner(step.owner);
    else if (step.do === 'reset') this.#reset(step);
    else if (step.do === 'limit') this.#redefine(step.server, this.args[step.server], step.most);
    else if ('server' in step) this.#manage(step.do, step.server);
    else if ('which' in step) this.#act(step.do, step.which);
  }

  /** None of these may hang; one fails only when a listener removes its server, or when a replacement cannot be started. */
  manage(call: Promise<unknown>): void {
    this.managing += 1;
    this.managed.push(
      call
        .catch((error: unknown) => {
          expect(['UNKNOWN_SERVER', 'POOL_CLOSED', ...START_FAILURES]).toContain((error as PoolError).code);
        })
        .finally(() => {
          this.managing -= 1;
        }),
    );
  }

  #forget(tenant: 't' | 'u'): void {
    this.pool.releaseTenant(tenant);
  }

  /** A listener may have removed the server just now, or let a spare that the reset has started fail. */
  #reset({ server, tenant }: Extract<Step, { do: 'reset' }>): void {
    if (!this.pool.hasServer(server)) return;
    const failed = this.#failed;
    this.pool.resetBreaker(server, tenant === undefined ? { allTenants: true } : { tenant });
    if (this.#failed > failed) return;
    const left = this.pool.status().servers[server]?.breakers.map((breaker) => breaker.tenant);
    expect(tenant === undefined ? left : left?.filter((one) => one === tenant)).toEqual([]);
  }

  #redefine(server: ServerName, args: readonly string[], maxInstances: number): void {
    this.args[server] = args;
    this.limits[server] = maxInstances;
    this.manage(
      this.pool.updateServer(server, {
        ...(server === 's' ? SHARED : {}),
        ...this.#priorityOf(server),
        command: `fake-${server}`,
        args,
        maxInstances,
        minIdle: server === 'b' ? 1 : 0,
      }),
    );
  }

  #acquire({ server, tenant, owner, reuseLease, timeout }: Extract<Step, { do: 'acquire' }>): void {
    const joins = reuseLease && owner !== undefined;
    const call: Call = {
      joins,
      number: this.calls.length,
      kind: `${server}/${tenant}/${owner}`,
      version: version(this.args[server]),
      abort: new AbortController(),
    };
    this.calls.push(call);
    this.pool
      .getServer(server, { ...scopeOf({ tenant, owner }), reuseLease: joins, timeout, signal: call.abort.signal })
      .then(
        (lease) => this.#served(call, lease),
        (error: unknown) => {
          call.error = error;
          expect(error).toBeInstanceOf(PoolError);
        },
      )
      // Thrown by the next check, so that it belongs to the run that it was found in.
      .catch((failure: unknown) => this.failures.push(failure));
  }

  #manage(what: 'update' | 'restart' | 'warm' | 'remove', server: ServerName): void {
    const args = [String(this.managed.length)];
    if (what === 'update') {
      this.#redefine(server, args, this.limits[server]);
    } else if (what === 'remove') {
      this.manage(this.pool.removeServer(server));
      this.args[server] = args;
      // A listener to the removal may have removed and added it, too, or may have shut the pool down.
      if (this.pool.status().state !== 'open') return;
      if (this.pool.status().servers[server]?.defined) return;
      const policy = server === 's' ? SHARED : {};
      this.pool.addServer(server, { ...policy, command: `fake-${server}`, args, maxInstances: this.limits[server] });
    } else if (what === 'restart') {
      this.manage(this.pool.restart(server));
    } else {
      this.managed.push(this.pool.warm(server, { count: 2, tenant: 't' }).catch((error: unknown) => error));
    }
  }

  #served(call: Call, lease: PooledServer): void {
    call.lease = lease;
    if (!this.connected.has(lease.id) && !this.over.has(lease.id)) {
      this.connected.add(lease.id);
      this.#connect(lease);
    }
    // [QUEUE-1] No caller of the same kind that came before is still waiting.
    const before = this.pending.filter(
      ({ kind, number, joins }) => !joins && kind === call.kind && number < call.number,
    );
    if (!call.joins) expect(before.map(({ number }) => number)).toEqual([]);
    expect(`${lease.name}/${lease.tenant}/${lease.owner}`).toBe(call.kind);
    // [TENANT-1] [TENANT-4] An exclusive instance serves one owner only, a shared one one tenant.
    const user = userOf(lease);
    expect(this.users.get(lease.instanceId) ?? user).toBe(user);
    this.users.set(lease.instanceId, user);
    // A caller that asks after a definition was changed is never served by a process of the old one.
    const server = this.launcher.servers.find(({ pid }) => pid === lease.pid);
    if (!call.joins) expect(version(server?.definition.args)).toBeGreaterThanOrEqual(call.version);
  }

  #release(call: Call): void {
    call.lease?.release();
  }

  #act(what: Extract<Step, { which: number }>['do'], which: number): void {
    const { living } = this.launcher;
    const server = living[which % Math.max(living.length, 1)];
    if (what === 'abort') this.pending[which % Math.max(this.pending.length, 1)]?.abort.abort();
    else if (what === 'release') {
      const call = this.held[which % Math.max(this.held.length, 1)];
      if (call) this.#release(call);
    } else if (what === 'spawned') server?.spawned();
    else if (what === 'initialized') server?.initialize();
    else if (what === 'refuse' && server && !server.ending && !server.received.length)
      server.refuse(new PoolError('SPAWN_FAILED', 'refused'));
    else if (what === 'exit' && server) {
      server.exit();
    } else if (what === 'die' && server?.ending) server.exit();
    else if (what === 'ask') {
      const call = this.held[which % Math.max(this.held.length, 1)];
      if (call?.lease) this.#send(call.lease.transport, 'tools/list');
    } else if (what === 'babble') server?.say('no message\n');
    else if (what === 'complain') server?.complain('a line');
  }
}

/** Which callers may use an instance that this one has used. */
function userOf({ name, tenant, owner }: Pick<PooledServer, 'name' | 'tenant' | 'owner'>): string {
  return name === 's' ? `${name}/${tenant}` : `${name}/${tenant}/${owner}`;
}

function userOfKind(kind: string): string {
  return kind.startsWith('s/') ? kind.slice(0, kind.lastIndexOf('/')) : kind;
}

function version(args: readonly string[] | undefined): number {
  return Number(args?.[0] ?? -1);
}

const RUNS = propertyRuns(1_500);
vi.setConfig({ testTimeout: RUNS.testTimeout });

describe('a pool under any interleaving', () => {
  it('[BUDGET-1] [QUEUE-1] [QUEUE-2] [TURN-1] [START-4] [PRIORITY-2] keeps its caps, serves in order of arrival, and loses no caller', async () => {
    await assertWithin(
      fc.asyncProperty(
        concurrentStarts,
        essential,
        fc.array(step, { minLength: 5, maxLength: 60 }),
        async (turns, one, steps) => {
          const world = new World(turns, one);
          try {
            for (const next of steps) await world.take(next);
            await world.settle();
          } finally {
            await world.close();
          }
        },
      ),
      RUNS,
    );
  });

  it('[QUEUE-1] serves 50 callers on a cold definition in order of arrival with at most 3 processes', async () => {
    const world = new World(MAX_PROCESSES);
    const steps = Array.from(
      { length: 50 },
      (): Step => ({ do: 'acquire', server: 'a', tenant: 't', owner: undefined, reuseLease: false, timeout: 60_000 }),
    );
    for (const next of steps) await world.take(next);
    expect(world.launcher.livingOf('a')).toHaveLength(3);
    await world.settle();
    expect(world.launcher.servers.filter(({ definition }) => definition.name === 'a')).toHaveLength(3);
    expect(world.calls.every(({ lease }) => lease !== undefined)).toBe(true);
    await world.close();
  });
});
