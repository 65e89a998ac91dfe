import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MCPServerPool, type PooledServer, type ServerDefinition } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher } from '../helpers/fake-launcher.js';
import { scopeOf, UNCHECKED } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { assertSettled } from '../helpers/settled.js';
import { flush } from '../helpers/until.js';

const MAX_PROCESSES = 4;
/** By server: most instances, and most for one tenant. */
const LIMITS = { e: [3, 2], s: [3, 1] } as const;
type Name = keyof typeof LIMITS;
const TIMEOUT = 500;

interface Call {
  readonly server: Name;
  readonly tenant: 't' | 'u' | undefined;
  readonly owner: 'o' | 'p' | undefined;
  /** What it gives; undefined: nothing, so that it has what its tenant has. */
  readonly value: string | undefined;
  readonly reuseLease: boolean;
}

const call: fc.Arbitrary<Call> = fc.record({
  server: fc.constantFrom<Name>('e', 's'),
  tenant: fc.constantFrom('t' as const, 'u' as const, undefined),
  owner: fc.constantFrom('o' as const, 'p' as const, undefined),
  value: fc.constantFrom('x', 'y', undefined),
  reuseLease: fc.boolean(),
});
const which = fc.nat(20);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('acquire' as const), call }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('release' as const, 'start' as const, 'start' as const, 'exit' as const, 'die' as const),
      which,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('update' as const, 'restart' as const, 'warm' as const, 'forget' as const, 'wait' as const),
      call,
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a process of such a call must have. */
const expectedOf = ({ tenant, value }: Call) => value ?? (tenant === 'u' ? 'of-u' : undefined);

class World {
  readonly clock = new ManualClock();
  readonly launcher = new FakeLauncher({ spawn: false, initialize: false, end: false });
  readonly pool: MCPServerPool;
  readonly held: { readonly call: Call; readonly lease: PooledServer }[] = [];
  readonly over = new Set<string>();
  readonly #pending = new Set<Promise<unknown>>();
  #version = 0;

  constructor() {
    const servers = { e: this.#definition('e'), s: this.#definition('s') };
    this.pool = new MCPServerPool(
      { servers, limits: { maxProcesses: MAX_PROCESSES }, defaults: { health: UNCHECKED } },
      { clock: this.clock, launcher: this.launcher, overload: () => undefined },
    );
    this.pool.on('lease:released', ({ leaseId }) => this.over.add(leaseId));
  }

  #definition(name: Name): ServerDefinition {
    const [maxInstances, maxInstancesPerTenant] = LIMITS[name];
    const policy = { maxInstances, maxInstancesPerTenant, restart: { maxRestarts: 8, stableAfter: 0 } };
    const perTenant = (tenant: string | undefined) => (tenant === 'u' ? { env: { VALUE: 'of-u' } } : undefined);
    const own = name === 's' ? { sharing: 'shared' as const, maxSessions: 2 } : { minIdle: 1, idleTimeout: 300 };
    return { command: 'fake', args: [String(this.#version)], ...policy, ...own, perTenant };
  }

  async take(one: Step): Promise<void> {
    this.#do(one);
    if (one.do === 'wait') await this.clock.advanceAndFlush(TIMEOUT / 2);
    await flush();
    this.check();
  }

  #do(one: Step): void {
    const { living } = this.launcher;
    switch (one.do) {
      case 'acquire':
        return this.#acquire(one.call);
      case 'release': {
        const held = this.held.filter(({ lease }) => !this.over.has(lease.id));
        return void held[one.which % held.length]?.lease.release();
      }
      case 'start': {
        const server = living[one.which % living.length];
        server?.spawned();
        return server?.initialize();
      }
      case 'exit':
        return living[one.which % living.length]?.exit({ exitCode: 1 });
      case 'die': {
        const ending = living.filter(({ ends }) => ends.length > 0);
        return ending[one.which % ending.length]?.exit();
      }
      case 'update':
        this.#version += 1;
        return this.#track(this.pool.updateServer(one.call.server, this.#definition(one.call.server)));
      case 'restart':
        return this.#track(this.pool.restart(one.call.server));
      case 'warm': {
        const { server, value, ...scope } = one.call;
        return this.#track(this.pool.warm(server, { ...scopeOf(scope), env: value ? { VALUE: value } : {} }));
      }
      case 'forget':
        return void (one.call.tenant && this.pool.releaseTenant(one.call.tenant));
      case 'wait':
        return undefined;
    }
  }

  #acquire(made: Call): void {
    const { server, value, reuseLease, ...scope } = made;
    const joins = reuseLease && scope.owner !== undefined;
    const env = value === undefined ? {} : { env: { VALUE: value } };
    const asked = this.pool.getServer(server, { ...scopeOf(scope), ...env, timeout: TIMEOUT, reuseLease: joins });
    this.#track(asked.then((lease) => void this.held.push({ call: made, lease })));
  }

  #track(promise: Promise<unknown>): void {
    const settled: Promise<unknown> = promise.catch(() => {}).then(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }

  check(): void {
    assertInsides(partsOf(this.pool));
    const { servers } = assertSettled(this.pool);
    for (const { call: made, lease } of this.held) {
      if (this.over.has(lease.id)) continue;
      const process = this.launcher.servers.find(({ pid }) => pid === lease.pid);
      // One that waits for its restart has none.
      if (process) expect(process.definition.resolvedEnv.VALUE).toBe(expectedOf(made));
      const instance = servers[made.server]?.instances.find(({ id }) => id === lease.instanceId);
      expect(instance?.tenant).toBe(made.tenant);
    }
    expect(this.launcher.living.length).toBeLessThanOrEqual(MAX_PROCESSES);
    for (const name of ['e', 's'] as const) {
      const [most, mostOfTenant] = LIMITS[name];
      const living = new Set(this.launcher.livingOf(name).map(({ pid }) => pid));
      expect(living.size).toBeLessThanOrEqual(most);
      for (const tenant of ['t', 'u']) {
        const own = servers[name]?.instances.filter((one) => one.tenant === tenant && living.has(one.pid ?? 0)) ?? [];
        expect(own.length).toBeLessThanOrEqual(mostOfTenant);
      }
    }
  }

  async end(): Promise<void> {
    this.launcher.auto = { spawn: true, initialize: true, answer: true, end: true };
    for (const server of this.launcher.living) {
      server.auto = this.launcher.auto;
      server.spawned();
      if (server.ends.length > 0) server.exit();
      else server.initialize();
    }
    await this.clock.advanceAndFlush(TIMEOUT);
    // Each call was served, or refused in its time.
    expect(this.pool.status().waiting).toBe(0);
    this.check();
    await this.pool.shutdown();
    await Promise.all(this.#pending);
    expect(this.launcher.living).toEqual([]);
    expect(this.clock.pending).toBe(0);
  }
}

const { testTimeout, ...runs } = propertyRuns(1_500);

it(
  '[TENANT-14] random calls of tenants, owners and values never get a process of others',
  async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const world = new World();
      for (const one of steps) await world.take(one);
      await world.end();
    });
    await assertWithin(property, runs);
  },
  testTimeout,
);
