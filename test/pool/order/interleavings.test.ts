import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MCPServerPool, type PooledServer, type ServerDefinition } from '../../../src/index.js';
import { partsOf } from '../../../src/pool/parts-of.js';
import { ManualClock } from '../../helpers/clock.js';
import { FakeLauncher } from '../../helpers/fake-launcher.js';
import { UNCHECKED } from '../../helpers/fake-pool.js';
import { assertInsides } from '../../helpers/insides.js';
import { assertWithin, propertyRuns } from '../../helpers/properties.js';
import { flush } from '../../helpers/until.js';

const NAMES = ['app', 'api', 'db', 'cache'] as const;
const name = fc.constantFrom(...NAMES);
const tenant = fc.constantFrom(undefined, 't', 'u');
/** What a call changes of the definition, if anything. */
const value = fc.constantFrom(undefined, undefined, 'one', 'two');

interface Whom {
  readonly name: string;
  readonly tenant: string | undefined;
  readonly value: string | undefined;
}

type Act =
  | ({ readonly do: 'call'; readonly timeout: number } & Whom)
  | ({ readonly do: 'warm'; readonly count: number } & Whom)
  | { readonly do: 'release' | 'initialize' | 'exit'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'restart'; readonly name: string; readonly cascade: boolean }
  | { readonly do: 'update'; readonly hasCache: boolean }
  | { readonly do: 'start' | 'endAll' | 'abort' | 'forget' };

const act = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      ...{ do: fc.constant('call' as const), name, tenant, value },
      timeout: fc.constantFrom(500, 60_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('warm' as const), name, tenant, value, count: fc.constantFrom(1, 2) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('initialize' as const), which: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('exit' as const), which: fc.nat(20) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(10, 150, 1_500, 20_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), name, cascade: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('update' as const), hasCache: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('start' as const, 'endAll' as const, 'abort' as const, 'forget' as const),
    }),
  },
);

const world = fc.record({
  maxProcesses: fc.constantFrom(3, 4, 6, 12),
  concurrentStarts: fc.constantFrom(1, 2, 12),
  sharing: fc.constantFrom('shared' as const, 'exclusive' as const),
  shareDb: fc.boolean(),
  policy: fc.constantFrom(undefined, 'restart' as const, 'hold' as const, 'ignore' as const, 'stop' as const),
  hasCache: fc.boolean(),
  isCacheRequired: fc.boolean(),
  maxInstancesPerTenant: fc.constantFrom(undefined, 1, 2),
});
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

function scopeOf({ tenant: of, value: own }: Omit<Whom, 'name'>) {
  return { ...(of === undefined ? {} : { tenant: of }), ...(own === undefined ? {} : { env: { KEY: own } }) };
}

class Play {
  readonly clock = new ManualClock();
  readonly launcher = new FakeLauncher({ initialize: false });
  readonly pool: MCPServerPool;
  readonly leases: PooledServer[] = [];
  readonly open = new Set<Promise<unknown>>();
  readonly wrong: string[] = [];
  readonly #world: World;
  #stop = new AbortController();
  #hasCache: boolean;

  constructor(made: World) {
    this.#world = made;
    this.#hasCache = made.hasCache;
    const { maxProcesses, concurrentStarts, shareDb } = made;
    const { maxInstancesPerTenant = Infinity } = made;
    const common = { command: 'fake', idleTimeout: 5_000, maxInstancesPerTenant };
    this.pool = new MCPServerPool(
      {
        servers: {
          app: this.#app(made.hasCache),
          api: { ...common, dependsOn: ['db'], onDependencyExit: made.policy },
          db: { ...common, sharing: shareDb ? 'shared' : 'exclusive' },
          cache: common,
        },
        limits: { maxProcesses, concurrentStarts },
        defaults: { health: UNCHECKED },
      },
      { clock: this.clock, launcher: this.launcher, overload: () => undefined },
    );
    this.pool.on('server:starting', ({ name: started, instanceId }) => this.#check(started, instanceId));
    this.pool.on('server:ready', ({ name: ready, tenant: of }) => this.#count(ready, of));
    this.pool.on('internal:error', ({ error }) => void this.wrong.push(String(error.cause ?? error)));
    this.pool.on('listener:error', ({ error }) => void this.wrong.push(String(error)));
  }

  #app(hasCache: boolean): ServerDefinition {
    const { isCacheRequired, policy, sharing } = this.#world;
    const cache = hasCache ? { cache: { required: isCacheRequired } } : {};
    const { maxInstancesPerTenant = Infinity } = this.#world;
    return {
      ...{ command: 'fake', idleTimeout: 5_000, sharing, maxInstancesPerTenant },
      ...{ onDependencyExit: policy, dependsOn: { api: {}, ...cache } },
    };
  }

  /** What it needs has an instance of its tenant that can be used. */
  #check(started: string, instanceId: string): void {
    const { fleet } = partsOf(this.pool);
    const instance = [...fleet.instances()].find(({ id }) => id === instanceId);
    for (const { id, required } of instance?.definition.dependencies ?? []) {
      const isThere = fleet.ofTenant(id, instance?.tenant).some(({ state }) => state === 'ready');
      if (required && !isThere) this.wrong.push(`${started} started without ${id}`);
    }
  }

  #count(ready: string, of: string | undefined): void {
    const { fleet } = partsOf(this.pool);
    const alive = fleet.ofTenant(ready, of).filter(({ state }) => state === 'starting' || state === 'ready');
    const most = this.#world.maxInstancesPerTenant ?? Infinity;
    if (of !== undefined && alive.length > most) this.wrong.push(`${of} has ${alive.length} of ${ready}`);
  }

  #follow(promise: Promise<unknown>): void {
    const settled = promise.then(
      () => {},
      () => {},
    );
    this.open.add(settled);
    void settled.then(() => this.open.delete(settled));
  }

  async do(one: Act): Promise<void> {
    const { clock, launcher, leases, pool } = this;
    switch (one.do) {
      case 'call':
        this.#follow(
          pool.getServer(one.name, { timeout: one.timeout, ...scopeOf(one) }).then((lease) => leases.push(lease)),
        );
        break;
      case 'warm':
        this.#follow(pool.warm(one.name, { count: one.count, ...scopeOf(one) }));
        break;
      case 'release':
        leases.splice(one.which % Math.max(1, leases.length), 1)[0]?.release();
        break;
      case 'initialize':
        launcher.living[one.which % Math.max(1, launcher.living.length)]?.initialize();
        break;
      case 'exit':
        launcher.living[one.which % Math.max(1, launcher.living.length)]?.exit({ exitCode: 1 });
        break;
      case 'advance':
        clock.advance(one.ms);
        break;
      case 'restart':
        this.#follow(pool.restart(one.name, { cascade: one.cascade, timeout: 1_000 }));
        break;
      case 'update':
        this.#hasCache = one.hasCache;
        this.#follow(pool.updateServer('app', this.#app(one.hasCache), { timeout: 1_000 }));
        break;
      case 'start':
        this.#follow(pool.start({ signal: this.#stop.signal, timeout: 10_000 }));
        break;
      case 'endAll':
        this.#follow(pool.endAll());
        break;
      case 'abort':
        this.#stop.abort();
        this.#stop = new AbortController();
        break;
      case 'forget':
        pool.releaseTenant('t');
    }
    await flush();
    assertInsides(partsOf(pool));
  }

  /** Everything comes to its end: calls, starts, and what nobody needs any more. After that each server serves again. */
  async finish(): Promise<void> {
    this.launcher.auto = { spawn: true, initialize: true, answer: true, end: true };
    await this.#pass(400);
    expect(this.wrong).toEqual([]);
    expect(this.open.size, 'calls that hang').toBe(0);
    this.#assertNothingLives();
    const { maxProcesses, isCacheRequired } = this.#world;
    const names = NAMES.filter((one) => one !== 'app' || maxProcesses > 3 || !this.#hasCache || !isCacheRequired);
    for (const tenantId of [undefined, 't', 'u']) {
      for (const called of names) {
        const scope = scopeOf({ tenant: tenantId, value: called === 'db' ? 'one' : undefined });
        const lease = this.pool.getServer(called, { timeout: 100_000, ...scope });
        let isServed = false;
        this.#follow(lease.then((served) => this.leases.push(served)).then(() => (isServed = true)));
        for (let round = 0; round < 250 && this.open.size > 0; round++) await this.#pass(1);
        expect(isServed, `${called} serves ${tenantId}`).toBe(true);
      }
    }
    await this.#pass(200);
    this.#assertNothingLives();
    expect((await this.pool.shutdown()).survivors).toEqual([]);
    expect(this.clock.pending).toBe(0);
  }

  async #pass(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      for (const server of this.launcher.living) server.initialize();
      for (const lease of this.leases.splice(0)) lease.release();
      this.clock.advance(500);
      await flush();
    }
  }

  #assertNothingLives(): void {
    expect(this.launcher.living.map(({ definition }) => definition.name)).toEqual([]);
    expect(partsOf(this.pool).order.isEmpty, 'nothing is left of the order').toBe(true);
  }
}

describe('any order of calls, ends and times', () => {
  const runs = propertyRuns(150);

  it('[SEQ-26] starts nothing without what it needs, hangs nowhere, and leaves nothing', {
    timeout: runs.testTimeout,
  }, async () => {
    const property = fc.asyncProperty(world, fc.array(act, { maxLength: 40 }), async (made, acts) => {
      const play = new Play(made);
      for (const one of acts) await play.do(one);
      await play.finish();
    });
    await assertWithin(property, runs);
  });
});
