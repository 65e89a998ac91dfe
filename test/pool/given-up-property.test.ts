import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { MCPServerPool, type PooledServer } from '../../src/index.js';
import { partsOf } from '../../src/pool/parts-of.js';
import { RawClient } from '../helpers/client.js';
import { ManualClock } from '../helpers/clock.js';
import { FakeLauncher, type FakeServer } from '../helpers/fake-launcher.js';
import { scopeOf } from '../helpers/fake-pool.js';
import { assertInsides } from '../helpers/insides.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { assertSettled } from '../helpers/settled.js';
import { flush } from '../helpers/until.js';

const step = fc.record({
  does: fc.constantFrom(
    ...(['acquire', 'acquire', 'acquire', 'ask', 'ask', 'cancel', 'cancel', 'release'] as const),
    // To ask, cancel and release one after the other.
    ...(['leave', 'leave', 'leave', 'answer', 'deaf', 'hears', 'advance', 'exit', 'restart'] as const),
  ),
  /** `t`: reuse 'tenant', `o`: reuse 'owner'. */
  server: fc.constantFrom('t', 't', 't', 'o'),
  owner: fc.constantFrom(undefined, 'x', 'y'),
  pick: fc.nat({ max: 30 }),
  ms: fc.constantFrom(1, 100, 4_999, 5_000, 10_000),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** A call that a server has got. */
interface Call {
  readonly id: number;
  readonly server: FakeServer;
  readonly owner: string | undefined;
  isGivenUp: boolean;
  isAnswered: boolean;
}

interface Held {
  readonly lease: PooledServer;
  readonly client: RawClient;
}

/** A pool, and beside it what each of its servers got, and what was given up of that. */
class World {
  readonly clock = new ManualClock();
  readonly launcher = new FakeLauncher();
  readonly pool = new MCPServerPool(
    {
      servers: {
        t: { command: 'fake', reuse: 'tenant', maxInstances: 2 },
        o: { command: 'fake', reuse: 'owner', maxInstances: 2 },
      },
      limits: { maxProcesses: 3 },
      acquireTimeout: 1_000_000,
    },
    { clock: this.clock, launcher: this.launcher },
  );
  readonly parts = partsOf(this.pool);
  readonly held: Held[] = [];
  readonly calls: Call[] = [];
  readonly #deaf = new Set<FakeServer>();
  /** Servers that have answered nothing that was sent since a request was given up, with what they had got before. */
  readonly #doubtful = new Map<FakeServer, number>();
  readonly #failures: unknown[] = [];
  #pending = 0;
  #nextId = 0;

  constructor() {
    this.launcher.onLaunch = () => {
      process.nextTick(() => {
        for (const server of this.launcher.living) {
          server.onRequest ??= ({ method }) => (method === 'ping' ? this.#answerPing(server) : undefined);
        }
      });
    };
  }

  async take(step: Step): Promise<void> {
    await this.#do(step);
    await flush();
    this.check();
  }

  check(): void {
    if (this.#failures.length > 0) throw this.#failures[0];
    for (const { lease } of this.held) this.#checkLease(lease);
    assertInsides(this.parts);
    assertSettled(this.pool);
  }

  /** All servers answer all they get, time passes, and leases are given back: no caller may be left. */
  async settle(): Promise<void> {
    this.#deaf.clear();
    for (let round = 0; round < 50 && this.#pending + this.held.length > 0; round++) {
      for (let open = this.#unanswered[0]; open; open = this.#unanswered[0]) await this.#answer(open);
      for (const held of [...this.held]) this.#release(held);
      await this.clock.advanceAndFlush(5_000);
      await flush();
      this.check();
    }
    expect(this.#pending).toBe(0);
    await this.clock.advanceAndFlush(5_000);
    // Each test is over: the instance is idle, or has ended.
    expect(this.pool.status().processes).toBe(this.pool.status().idle);
  }

  async close(): Promise<void> {
    await this.pool.shutdown({ mode: 'emergency' });
    expect(this.clock.pending).toBe(0);
  }

  get #unanswered(): Call[] {
    return this.calls.filter(({ isAnswered, server }) => !isAnswered && server.alive);
  }

  /** [GIVEUP-1] A server works for no lease of another owner while it has left a given-up request without an answer. */
  #checkLease({ pid, owner }: PooledServer): void {
    const left = this.#unanswered.filter(({ server, isGivenUp }) => server.pid === pid && isGivenUp);
    expect(left.filter((call) => call.owner !== owner)).toEqual([]);
  }

  #served(lease: PooledServer): void {
    this.#checkLease(lease);
    // [GIVEUP-2] It has shown since then that it is not stuck.
    const left = this.#unanswered.some(({ server, isGivenUp }) => server.pid === lease.pid && isGivenUp);
    if (left) expect([...this.#doubtful.keys()].map(({ pid }) => pid)).not.toContain(lease.pid);
  }

  async #do({ does, server, owner, pick, ms }: Step): Promise<void> {
    const { living } = this.launcher;
    const process = living[pick % Math.max(1, living.length)];
    const held = this.held[pick % Math.max(1, this.held.length)];
    if (does === 'acquire') this.#acquire(server, owner);
    else if (does === 'ask' && held) await this.#ask(held);
    else if (does === 'cancel') await this.#cancel(pick);
    else if (does === 'release' && held) this.#release(held);
    else if (does === 'leave' && held) await this.#leave(held);
    else if (does === 'answer') {
      const open = this.#unanswered[pick % Math.max(1, this.#unanswered.length)];
      if (open) await this.#answer(open);
    } else if (does === 'deaf' && process) this.#deaf.add(process);
    else if (does === 'hears' && process) this.#deaf.delete(process);
    else if (does === 'advance') await this.clock.advanceAndFlush(ms);
    else if (does === 'exit' && process) process.exit({ exitCode: 1 });
    else if (does === 'restart') void this.pool.restart(server).catch(() => {});
  }

  #acquire(name: string, owner: string | undefined): void {
    this.#pending += 1;
    this.pool
      .getServer(name, scopeOf({ owner }))
      .then(async (lease) => {
        this.#pending -= 1;
        this.#served(lease);
        const client = new RawClient(lease.transport);
        const held = { lease, client };
        this.held.push(held);
        const { onclose } = lease.transport;
        lease.transport.onclose = () => {
          onclose?.();
          this.#over(held);
        };
        await lease.transport.start();
      })
      .catch((failure: unknown) => this.#failures.push(failure));
  }

  #over(held: Held): void {
    const index = this.held.indexOf(held);
    if (index !== -1) this.held.splice(index, 1);
  }

  async #ask({ lease, client }: Held): Promise<void> {
    const id = this.#nextId++;
    void client.request('tools/call', { name: `call ${id}` }, id);
    await flush();
    const { owner, pid } = lease;
    const server = this.launcher.servers.find((one) => one.pid === pid);
    if (server && this.#wireId(server, id) !== undefined) {
      this.calls.push({ id, server, owner, isGivenUp: false, isAnswered: false });
    }
  }

  async #cancel(pick: number): Promise<void> {
    const open = this.#unanswered.filter(({ isGivenUp }) => !isGivenUp);
    const call = open[pick % Math.max(1, open.length)];
    const held = this.held.find(({ lease }) => lease.pid === call?.server.pid);
    if (call && held) await this.#cancelOf(held, call);
  }

  async #cancelOf({ client }: Held, call: Call): Promise<void> {
    this.#giveUp(call);
    await client.notify('notifications/cancelled', { requestId: call.id });
  }

  async #leave(held: Held): Promise<void> {
    await this.#ask(held);
    for (const call of this.#unanswered) {
      if (call.server.pid === held.lease.pid && !call.isGivenUp) await this.#cancelOf(held, call);
    }
    held.lease.release();
  }

  #release(held: Held): void {
    for (const call of this.#unanswered) {
      if (call.server.pid === held.lease.pid && !call.isGivenUp) this.#giveUp(call);
    }
    held.lease.release();
  }

  #giveUp(call: Call): void {
    call.isGivenUp = true;
    this.#doubtful.set(call.server, call.server.received.length);
  }

  async #answer(call: Call): Promise<void> {
    const { server } = call;
    const id = this.#wireId(server, call.id) as number;
    call.isAnswered = true;
    server.answer(id, {});
    const isLater = server.received.findIndex((message) => message.id === id) >= (this.#doubtful.get(server) ?? 0);
    if (isLater) this.#doubtful.delete(server);
    await flush();
  }

  #answerPing(server: FakeServer): object | undefined {
    if (this.#deaf.has(server)) return undefined;
    this.#doubtful.delete(server);
    return {};
  }

  #wireId(server: FakeServer, id: number): unknown {
    return server.received.find(({ params }) => (params as { name?: string } | undefined)?.name === `call ${id}`)?.id;
  }
}

const RUNS = propertyRuns(400);
vi.setConfig({ testTimeout: RUNS.testTimeout });

describe('requests that are given up, in any order of calls, answers and ends', () => {
  it('[GIVEUP-1] [GIVEUP-2] leave no process to another owner, nor one to its own that may be stuck, and no caller waiting', async () => {
    await assertWithin(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 50 }), async (steps) => {
        const world = new World();
        try {
          for (const next of steps) await world.take(next);
          await world.settle();
        } finally {
          await world.close();
        }
      }),
      RUNS,
    );
  });
});
