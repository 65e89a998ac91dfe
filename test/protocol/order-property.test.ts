import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { flush } from '../helpers/until.js';
import { attach, type Ear, multiplexed } from '../helpers/wire.js';

const crash = new PoolError('SERVER_EXITED', 'it crashed', { exitCode: 1, signal: null });
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];
/** The server refuses every subscription to this one. */
const FORBIDDEN = 'forbidden';

const step = fc.record({
  does: fc.constantFrom(
    ...['subscribe', 'subscribe', 'subscribe', 'unsubscribe', 'unsubscribe', 'level', 'level'],
    ...['work', 'work', 'work', 'work', 'come or go', 'come or go', 'updated', 'cancel', 'replace', 'end of old'],
  ),
  which: fc.nat({ max: 3 }),
  pick: fc.nat({ max: 1_000 }),
  uri: fc.constantFrom('a', 'b', FORBIDDEN),
  level: fc.constantFrom('debug', 'info', 'error', 'emergency'),
  odd: fc.integer({ min: 0, max: 3 }).map((value) => value === 0),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Ask {
  readonly kind: 'subscribe' | 'unsubscribe' | 'level';
  readonly about: string;
  answer?: 'done' | 'refused' | 'cancelled';
}

interface Client {
  readonly ear: Ear;
  readonly at: ReturnType<typeof attach>['at'];
  /** What it has asked for, by the id of the request, oldest first. */
  readonly asks: Map<RequestId, Ask>;
}

/** A server that works on all its requests at once: each is done, and answered, at any later time. */
class AsyncServer {
  readonly wire: ReturnType<ReturnType<typeof multiplexed>['start']>;
  readonly open: JsonRpcMessage[] = [];
  readonly subscribed = new Set<string>();
  level: string | undefined;

  constructor(wire: ReturnType<ReturnType<typeof multiplexed>['start']>) {
    this.wire = wire;
  }

  /** Reads what was sent to it. Two open requests about the same thing could be done in the wrong order. */
  async read(): Promise<void> {
    for (const message of await this.wire.sent()) {
      if (message.method === 'notifications/cancelled') continue;
      expect(this.open.map(aboutOf)).not.toContain(aboutOf(message));
      this.open.push(message);
    }
  }

  async work(pick: number, refuses: boolean): Promise<void> {
    const [message] = this.open.splice(pick % Math.max(1, this.open.length), 1);
    if (message === undefined) return;
    const { id, method, params } = message;
    const { uri = '', level } = params as { uri?: string; level?: string };
    const isRefused = uri === FORBIDDEN || (refuses && method !== 'resources/unsubscribe' && level !== 'debug');
    if (isRefused) return this.wire.says({ id, error: { code: -32_002, message: 'no' } });
    if (method === 'logging/setLevel') this.level = level;
    else if (method === 'resources/subscribe') this.subscribed.add(uri);
    // It never received a subscription to this one, or it has refused that.
    else expect(this.subscribed.delete(uri)).toBe(true);
    await this.wire.says({ id, result: {} });
  }
}

const aboutOf = ({ method, params }: JsonRpcMessage) =>
  method === 'logging/setLevel' ? 'the level' : (params as { uri: string }).uri;

class World {
  readonly #all: ReturnType<typeof multiplexed>;
  readonly #clients: (Client | undefined)[];
  readonly #refuses: boolean;
  #server: AsyncServer;
  readonly #retiring: AsyncServer[] = [];
  #nextId = 1;

  constructor({ shared, refuses, maxInFlight }: { shared: boolean; refuses: boolean; maxInFlight: number }) {
    this.#all = multiplexed({ shared, maxInFlight, sessionsStay: true });
    this.#refuses = refuses;
    this.#server = this.#start();
    this.#clients = Array.from({ length: shared ? 4 : 1 }, () => this.#join());
  }

  async run({ does, which, pick, uri, level, odd }: Step): Promise<void> {
    const place = which % this.#clients.length;
    const client = this.#clients[place];
    switch (does) {
      case 'subscribe':
      case 'unsubscribe':
        if (client) this.#ask(client, { kind: does, about: uri }, `resources/${does}`, { uri });
        break;
      case 'level':
        if (client) this.#ask(client, { kind: does, about: level }, 'logging/setLevel', { level });
        break;
      case 'work':
        await this.#server.work(pick, odd && this.#refuses);
        break;
      case 'cancel':
        if (client) this.#cancel(client, pick);
        break;
      case 'come or go':
        client?.at.detach();
        this.#clients[place] = client ? undefined : this.#join();
        break;
      case 'updated':
        await this.#checkHearing(uri);
        break;
      case 'replace':
        // What the next process refuses is not asked for again, and no session hears of that.
        if (this.#refuses) break;
        if (odd) this.#all.mux.lose(this.#server.wire.upstream, crash);
        else this.#retiring.push(this.#server);
        this.#server = this.#start();
        break;
      case 'end of old': {
        const [old] = this.#retiring.splice(0, 1);
        if (old) this.#all.mux.lose(old.wire.upstream, crash);
      }
    }
    await flush(1);
    await this.#server.read();
    this.#hear();
  }

  /** Everything is done. Then the server must have what the answers to the sessions said that it has. */
  async end(picks: readonly number[]): Promise<void> {
    for (let turn = 0; this.#server.open.length > 0; turn++) {
      await this.#server.work(picks[turn % picks.length] ?? 0, false);
      await this.#server.read();
    }
    this.#hear();
    for (const { asks, at } of this.#here) {
      expect([...asks.values()].filter(({ answer }) => answer === undefined)).toEqual([]);
      expect(at.openRequests).toBe(0);
    }
    const wanted = new Set(this.#here.flatMap((client) => [...subscriptionsOf(client)]));
    expect([...this.#server.subscribed].sort()).toEqual([...wanted].sort());
    const levels = this.#here.map(levelOf);
    const most = LEVELS.find((level) => levels.some((own) => (own ?? 'debug') === level));
    const level = LEVELS.indexOf(this.#server.level ?? 'none');
    // When it refuses a level that is enough now, it stays more verbose than it must be.
    if (this.#refuses && level !== -1) expect(level).toBeLessThanOrEqual(LEVELS.indexOf(most ?? 'debug'));
    else if (levels.some((own) => own !== undefined)) expect(this.#server.level).toBe(most);
    else expect(['debug', undefined]).toContain(this.#server.level);
    for (const uri of ['a', 'b', FORBIDDEN]) await this.#checkHearing(uri);
    for (const client of this.#here) client.at.detach();
    await this.#server.read();
    while (this.#server.open.length > 0) {
      await this.#server.work(picks[0] ?? 0, false);
      await this.#server.read();
    }
    expect([...this.#server.subscribed]).toEqual([]);
    for (const { wire } of this.#retiring) this.#all.mux.lose(wire.upstream, crash);
    expect(this.#all.hold.count).toBe(0);
    expect(this.#all.clock.pending).toBe(0);
  }

  get #here(): Client[] {
    return this.#clients.filter((client) => client !== undefined);
  }

  #start(): AsyncServer {
    const wire = this.#all.start();
    wire.connect();
    return new AsyncServer(wire);
  }

  #join(): Client {
    return { ...attach(this.#all.mux), asks: new Map() };
  }

  #ask({ at, asks }: Client, ask: Ask, method: string, params: object): void {
    const id = this.#nextId++;
    asks.set(id, ask);
    at.send({ jsonrpc: '2.0', id, method, params }).catch((error: unknown) => expect(error).toBeUndefined());
  }

  /** Cancels a request to subscribe, as if it had never been sent. */
  #cancel({ at, asks }: Client, pick: number): void {
    const open = [...asks].filter(([, { kind, answer }]) => kind === 'subscribe' && answer === undefined);
    const [requestId, ask] = open[pick % Math.max(1, open.length)] ?? [];
    if (ask === undefined) return;
    ask.answer = 'cancelled';
    const params = { requestId };
    at.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }).catch(() => {});
  }

  #hear(): void {
    for (const { ear, asks } of this.#here) {
      for (const { id, error, method } of ear.take()) {
        if (method !== undefined) continue;
        const ask = asks.get(id as RequestId);
        expect(ask && ask.answer === undefined, `an answer to ${id}, which waits for one`).toBe(true);
        if (ask) ask.answer = error === undefined ? 'done' : 'refused';
      }
    }
  }

  /** A session that got the answer that it is subscribed hears that the resource has changed. */
  async #checkHearing(uri: string): Promise<void> {
    this.#hear();
    if (!this.#server.subscribed.has(uri)) return;
    const must = this.#here.filter((client) => subscriptionsOf(client).has(uri));
    const params = { uri };
    await this.#server.wire.says({ method: 'notifications/resources/updated', params });
    for (const { ear } of must) {
      const updated = ear.heard.filter(({ method }) => method === 'notifications/resources/updated');
      expect(updated.map((message) => message.params)).toEqual([params]);
    }
  }
}

/** What a client is subscribed to, by the answers that it got. */
function subscriptionsOf({ asks }: Client): Set<string> {
  const uris = new Set<string>();
  for (const { kind, about, answer } of asks.values()) {
    if (kind === 'subscribe' && answer === 'done') uris.add(about);
    else if (kind === 'unsubscribe' || (kind === 'subscribe' && answer === 'refused')) uris.delete(about);
  }
  return uris;
}

/** The last level that a client asked for, and that was not refused. */
function levelOf({ asks }: Client): string | undefined {
  return [...asks.values()].filter(({ kind, answer }) => kind === 'level' && answer !== 'refused').at(-1)?.about;
}

const RUNS = propertyRuns(400);
vi.setConfig({ testTimeout: RUNS.testTimeout });

describe('a server that works on its requests in any order', () => {
  for (const shared of [true, false]) {
    it(`[ORDER-1] [ORDER-2] has in the end what the last answers to its sessions say: ${shared ? 'shared' : 'exclusive'}`, async () => {
      await assertWithin(
        fc.asyncProperty(
          fc.record({ refuses: fc.boolean(), maxInFlight: fc.constantFrom(1, 2, Infinity) }),
          fc.array(step, { maxLength: 60, size: 'max' }),
          fc.array(fc.nat({ max: 1_000 }), { minLength: 1, maxLength: 5 }),
          async (options, steps, picks) => {
            const world = new World({ shared, ...options });
            for (const each of steps) await world.run(each);
            await world.end(picks);
          },
        ),
        RUNS,
      );
    });
  }
});
