import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { flush } from '../helpers/until.js';
import { attach, type Ear, multiplexed } from '../helpers/wire.js';

const crash = new PoolError('SERVER_EXITED', 'it crashed', { exitCode: 1, signal: null });
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'];
const REPEATABLE = ['resources/read', 'tools/list'];
/** A process has the same tools as any other, so that no session is to be notified of a change. */
const TOOLS = [{ name: 'x', inputSchema: {} }];

const step = fc.record({
  does: fc.constantFrom(
    ...['ask', 'ask', 'ask', 'ask', 'answer', 'answer', 'answer', 'answer', 'progress', 'progress', 'late'],
    ...['cancel', 'subscribe', 'subscribe', 'unsubscribe', 'updated', 'level', 'log', 'news', 'notify', 'ping', 'asks'],
    ...['come or go', 'task', 'task', 'status', 'lose', 'connect', 'connect', 'suspend', 'resume'],
  ),
  which: fc.nat({ max: 4 }),
  pick: fc.nat({ max: 1_000 }),
  id: fc.constantFrom<RequestId>(1, '1', 2, '2', ''),
  method: fc.constantFrom('tools/call', 'tools/call', 'resources/read', 'tools/list'),
  token: fc.constantFrom<RequestId | undefined>(undefined, undefined, 't', 1, '1', 0),
  uri: fc.constantFrom('a', 'b'),
  level: fc.constantFrom('debug', 'info', 'error', 'emergency'),
  /** Rarely something other than usual. */
  odd: fc.integer({ min: 0, max: 3 }).map((value) => value === 0),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a client has asked for, or announced. */
interface Call {
  readonly client: Client;
  readonly message: JsonRpcMessage;
  repeated: boolean;
  /** The process that it was written to. */
  at?: Process;
  wireId?: RequestId;
}

interface Client {
  readonly ear: Ear;
  readonly at: ReturnType<typeof attach>['at'];
  /** What a client that has a server for itself would have heard. */
  readonly expected: object[];
  /** What it has sent that was not written yet, in order. */
  waiting: Call[];
  /** Its requests that were not answered. */
  open: Call[];
  level: string | undefined;
}

interface Subscription {
  readonly uri: string;
  readonly clients: Set<Client>;
  /** Those that wait for a process to answer; undefined when one has. */
  waiting: Call[] | undefined;
}

interface Task {
  readonly client: Client;
  readonly wireId: RequestId;
  /** Undefined when there is none, or no progress comes any more. */
  token: unknown;
}

/** A request of the pool itself: about subscriptions and the level, or about tools and tasks. */
type Own = 'wish' | 'tools';

class Process {
  readonly server: ReturnType<ReturnType<typeof multiplexed>['start']>;
  readonly calls = new Map<RequestId, Call>();
  readonly own = new Map<RequestId, Own>();
  readonly uris = new Set<string>();
  level: string | undefined;
  /** Ids of requests that were cancelled. */
  readonly late: RequestId[] = [];
  /** Cancellations and refusals that it must get in this step. */
  due: object[] = [];
  readonly seen = new Set<RequestId>();

  constructor(server: ReturnType<ReturnType<typeof multiplexed>['start']>) {
    this.server = server;
  }
}

const note = (method: string, params?: object) => ({
  ...{ jsonrpc: '2.0' as const, method: `notifications/${method}` },
  ...(params && { params }),
});
const result = (id: unknown, value: unknown = {}) => ({ jsonrpc: '2.0', id, result: value });
const tokenOf = ({ params }: JsonRpcMessage) => (params as { _meta?: { progressToken: unknown } })._meta?.progressToken;
const pickOf = <T>(list: readonly T[], pick: number): T | undefined => list[pick % Math.max(1, list.length)];
const without = <T>(list: T[], item: T): T[] => list.filter((other) => other !== item);

/** Sessions that share a server, and beside each what it would hear if it had one for itself. */
class World {
  readonly #all: ReturnType<typeof multiplexed>;
  readonly #maxInFlight: number;
  readonly #joined: Client[] = [];
  readonly #clients: (Client | undefined)[];
  #current: Process | undefined;
  #retiring: Process[] = [];
  #lost: Process[] = [];
  #isSuspended = false;
  readonly #subscriptions = new Map<string, Subscription>();
  /** Those that the process has that serves now. */
  readonly #tasks = new Map<string, Task>();
  readonly #failures: unknown[] = [];
  #nextTag = 1;
  /** Tasks of sessions that have gone in this step. */
  #cancelled: string[] = [];

  constructor(clients: number, maxInFlight: number) {
    this.#maxInFlight = maxInFlight;
    this.#all = multiplexed({ shared: true, maxInFlight });
    this.#connect();
    this.#clients = Array.from({ length: clients }, () => this.#join());
  }

  async run({ does, which, pick, id, method, token, uri, level, odd }: Step): Promise<void> {
    const client = this.#clients[which % this.#clients.length];
    const live = this.#current ? [this.#current, ...this.#retiring] : this.#retiring;
    const process = pickOf(live, odd ? pick : 0);
    const here = this.#here;
    // They take turns with requests then, which is for shared-turns.test.ts: here the server is asked in the same tick.
    if (this.#maxInFlight < Infinity && ['subscribe', 'unsubscribe', 'level'].includes(does)) return;
    switch (does) {
      case 'ask': {
        if (client === undefined) break;
        const _meta = token === undefined ? {} : { _meta: { progressToken: token } };
        const task = method === 'tools/call' && odd ? { task: {} } : {};
        const call = this.#send(client, { id, method, params: { tag: this.#nextTag++, ...task, ..._meta } });
        client.open.push(call);
        client.waiting.push(call);
        break;
      }
      case 'notify':
        if (client) client.waiting.push(this.#send(client, note('x', { tag: this.#nextTag++ })));
        break;
      case 'ping':
        if (client === undefined) break;
        this.#send(client, { id, method: 'ping' });
        client.expected.push(result(id));
        break;
      case 'answer':
        if (process) await this.#answer(process, pick, odd);
        break;
      case 'late': {
        const wireId = pickOf(process?.late ?? [], pick) ?? 9_999;
        await process?.server.says(result(wireId, 'late'), note('progress', { progressToken: wireId, progress: 9 }));
        break;
      }
      case 'progress': {
        const tasks = process === this.#current ? [...this.#tasks.values()] : [];
        const open = [...(process?.calls.values() ?? [])].filter((call) => call.client.open.includes(call));
        const calls = open.map(({ client, message, wireId }) => {
          return { client, wireId, token: tokenOf(message) };
        });
        const chosen = pickOf([...calls, ...tasks], pick);
        if (chosen === undefined) break;
        const progress = (progressToken: unknown) => note('progress', { progressToken, progress: pick });
        await process?.server.says(progress(chosen.wireId));
        if (chosen.token !== undefined) chosen.client.expected.push(progress(chosen.token));
        break;
      }
      case 'task': {
        if (client === undefined) break;
        const taskId = pickOf([...this.#tasks.keys(), 'none'], pick);
        const call = this.#send(client, { id, method: 'tasks/get', params: { taskId, tag: this.#nextTag++ } });
        client.open.push(call);
        if (this.#tasks.get(taskId ?? '')?.client === client) client.waiting.push(call);
        else this.#close(call, { error: { code: -32_602, message: 'Task not found' } });
        break;
      }
      case 'status': {
        const taskId = pickOf([...this.#tasks.keys(), 'none'], pick) ?? '';
        const task = this.#tasks.get(taskId);
        const status = note('tasks/status', { taskId, status: odd ? 'completed' : 'working' });
        await this.#notify(this.#current, status, task ? [task.client] : []);
        if (odd && task) task.token = undefined;
        break;
      }
      case 'cancel':
        if (client) this.#cancel(client, odd ? id : (pickOf(client.open, pick)?.message.id ?? id));
        break;
      case 'subscribe':
        if (client) this.#subscribe(client, id, uri);
        break;
      case 'unsubscribe':
        if (client) await this.#unsubscribe(client, id, uri);
        break;
      case 'level': {
        if (client === undefined) break;
        client.level = level;
        const call = this.#send(client, { id, method: 'logging/setLevel', params: { level } });
        client.open.push(call);
        await this.#look();
        this.#close(call, { result: {} });
        break;
      }
      case 'updated':
        await this.#notify(process, note('resources/updated', { uri }), [
          ...(this.#subscriptions.get(uri)?.clients ?? []),
        ]);
        break;
      case 'news':
        await this.#notify(
          process,
          note(pickOf(['tools/list_changed', 'of/tomorrow', 'prompts/list_changed'], pick) ?? ''),
        );
        break;
      case 'log': {
        const log = note('message', { level, data: pick });
        await process?.server.says(log);
        for (const each of process ? here : []) {
          if (LEVELS.indexOf(level) >= LEVELS.indexOf(each.level ?? 'debug')) each.expected.push(log);
        }
        break;
      }
      case 'asks':
        process?.due.push({ id: 'q', error: true });
        await process?.server.says({ id: 'q', method: 'roots/list' });
        break;
      case 'come or go':
        if (client) this.#leave(client);
        else this.#clients[which % this.#clients.length] = this.#join();
        break;
      case 'lose':
        if (process) this.#lose(process);
        break;
      case 'connect':
        // A crash is followed by a restart more often than by anything else, a replacement is rare.
        if (this.#current === undefined || odd) this.#connect();
        break;
      case 'suspend':
      case 'resume':
        if (this.#current === undefined) break;
        this.#isSuspended = does === 'suspend';
        this.#all.mux[does](this.#current.server.upstream);
    }
    await this.#look();
  }

  /** Everything is answered; then all sessions end. */
  async end(): Promise<void> {
    if (this.#current === undefined || this.#isSuspended) this.#connect();
    await this.#look();
    for (let left = true; left; ) {
      left = false;
      for (const process of [this.#current as Process, ...this.#retiring]) {
        while (process.calls.size + process.own.size > 0) {
          left = true;
          await this.#answer(process, 0, false);
          await this.#look();
        }
      }
    }
    for (const { at, waiting, open } of this.#here) {
      expect([waiting, open, at.openRequests]).toEqual([[], [], 0]);
    }
    expect(this.#all.hold.count).toBe(0);
    expect(this.#current?.server.upstream.openRequests).toBe(0);
    for (const client of this.#here) this.#leave(client);
    await this.#look();
    expect([...(this.#current?.uris ?? [])]).toEqual([]);
    for (const process of [this.#current as Process, ...this.#retiring]) {
      await process.server.says(
        note('x'),
        note('message', { level: 'alert' }),
        note('resources/updated', { uri: 'a' }),
      );
      await process.server.says(...process.late.map((id) => result(id)));
    }
    for (const { ear, expected, at } of this.#joined) {
      expect(ear.heard).toEqual(expected);
      expect(at.openRequests).toBe(0);
    }
    expect(this.#all.hold.count).toBe(0);
    expect(this.#all.reported.tools).toEqual([]);
    expect(this.#failures).toEqual([]);
  }

  get #here(): Client[] {
    return this.#clients.filter((client) => client !== undefined);
  }

  #join(): Client {
    const client: Client = {
      ...attach(this.#all.mux),
      ...{ expected: [], waiting: [], open: [], level: undefined },
    };
    this.#joined.push(client);
    return client;
  }

  #leave(client: Client): void {
    this.#clients[this.#clients.indexOf(client)] = undefined;
    for (const call of client.open) this.#giveUp(call, 'its client is gone');
    for (const subscription of this.#subscriptions.values()) {
      subscription.waiting = subscription.waiting?.filter((call) => call.client !== client);
      this.#drop(client, subscription);
    }
    client.waiting = [];
    client.open = [];
    for (const [taskId, task] of this.#tasks) {
      if (task.client === client && this.#tasks.delete(taskId)) this.#cancelled.push(taskId);
    }
    client.at.detach();
    expect(client.at.openRequests).toBe(0);
  }

  #send(client: Client, message: object): Call {
    const full = { jsonrpc: '2.0' as const, ...message };
    client.at.send(full).catch((error: unknown) => this.#failures.push(error));
    return { client, message: full, repeated: false };
  }

  #close(call: Call, answer: object): void {
    const { client, message } = call;
    // One that was cancelled, or has lost its client.
    if (!client.open.includes(call)) return;
    client.open = without(client.open, call);
    client.expected.push({ jsonrpc: '2.0', id: message.id, ...answer });
  }

  #giveUp(call: Call, reason: string): void {
    const { client, at, wireId } = call;
    client.open = without(client.open, call);
    client.waiting = without(client.waiting, call);
    if (at === undefined || wireId === undefined) return;
    // What may change something keeps its place until its answer, where places are few.
    if (this.#maxInFlight < Infinity && !REPEATABLE.includes(call.message.method ?? '')) return;
    at.calls.delete(wireId);
    at.late.push(wireId);
    at.due.push(note('cancelled', { requestId: wireId, reason }));
  }

  #cancel(client: Client, id: unknown): void {
    const call = client.open.filter(({ message }) => message.id === id).at(-1);
    const uri = (call?.message.params as { uri?: string })?.uri;
    if (call && call.message.method === 'resources/subscribe') {
      const subscription = this.#subscriptions.get(uri ?? '');
      const others = subscription?.waiting?.filter((other) => other.client === client) ?? [];
      // What a second subscribe of one client means that is cancelled: shared-subscriptions.test.ts.
      if (others.length > 1 || subscription?.waiting === undefined) return;
      if (others[0] === call) {
        subscription.waiting = without(subscription.waiting, call);
        this.#drop(client, subscription);
      }
    }
    this.#send(client, note('cancelled', { requestId: id, reason: 'enough' }));
    if (call) this.#giveUp(call, 'enough');
  }

  #drop(client: Client, subscription: Subscription): void {
    subscription.clients.delete(client);
    if (subscription.clients.size > 0) return;
    this.#subscriptions.delete(subscription.uri);
    for (const given of subscription.waiting?.splice(0) ?? []) this.#close(given, { result: {} });
  }

  #subscribe(client: Client, id: RequestId, uri: string): void {
    const call = this.#send(client, { id, method: 'resources/subscribe', params: { uri } });
    client.open.push(call);
    const subscription = this.#subscriptions.get(uri) ?? { uri, clients: new Set(), waiting: [] };
    this.#subscriptions.set(uri, subscription);
    subscription.clients.add(client);
    if (subscription.waiting) subscription.waiting.push(call);
    else this.#close(call, { result: {} });
  }

  async #unsubscribe(client: Client, id: RequestId, uri: string): Promise<void> {
    const subscription = this.#subscriptions.get(uri);
    const call = this.#send(client, { id, method: 'resources/unsubscribe', params: { uri } });
    client.open.push(call);
    if (subscription) this.#drop(client, subscription);
    await this.#look();
    this.#close(call, { result: {} });
  }

  async #answer(process: Process, pick: number, odd: boolean): Promise<void> {
    const id = pickOf([...process.calls.keys(), ...process.own.keys()], pick);
    if (id === undefined) return;
    const call = process.calls.get(id);
    const own = process.own.get(id);
    process.calls.delete(id);
    process.own.delete(id);
    const value = own === 'tools' || call?.message.method === 'tools/list' ? { tools: TOOLS } : {};
    if (own) return process.server.says({ id, result: value });
    const beginsTask = call !== undefined && 'task' in (call.message.params as object);
    const tag = this.#nextTag++;
    const answer = odd
      ? { error: { code: pick, message: 'no', data: { pick } } }
      : { result: { ...value, tag, ...(beginsTask && { task: { taskId: `task ${tag}` } }) } };
    // A task of a process that is being replaced ends with it.
    if (beginsTask && !odd && process === this.#current && call.client.open.includes(call)) {
      this.#tasks.set(`task ${tag}`, { client: call.client, wireId: id, token: tokenOf(call.message) });
    }
    await process.server.says({ id, ...answer });
    if (call) this.#close(call, answer);
  }

  /** In which order the server works on several of them: order-property.test.ts. Here it answers at once. */
  async #answerWishes(process: Process): Promise<boolean> {
    const wishes = [...process.own].filter(([, own]) => own === 'wish');
    for (const [id] of wishes) {
      process.own.delete(id);
      await process.server.says({ id, result: {} });
    }
    return wishes.length > 0;
  }

  /** Only the process that serves now speaks for the server. */
  async #notify(process: Process | undefined, message: object, receivers = this.#here): Promise<void> {
    await process?.server.says(message);
    if (process === undefined || process !== this.#current) return;
    for (const client of receivers) client.expected.push(message);
  }

  #connect(): void {
    if (this.#current) this.#retiring.push(this.#current);
    this.#current = new Process(this.#all.start());
    this.#tasks.clear();
    this.#isSuspended = false;
    this.#current.server.connect();
  }

  #lose(process: Process): void {
    if (process === this.#current) {
      this.#current = undefined;
      this.#tasks.clear();
    }
    this.#retiring = without(this.#retiring, process);
    this.#lost.push(process);
    this.#all.mux.lose(process.server.upstream, crash);
    const again = new Map<Client, Call[]>();
    for (const call of process.calls.values()) {
      const { client, message } = call;
      if (REPEATABLE.includes(message.method ?? '') && !call.repeated) {
        again.set(client, [...(again.get(client) ?? []), call]);
        call.repeated = true;
        delete call.at;
        delete call.wireId;
      } else {
        const data = { reason: 'SERVER_EXITED', retryable: true, mayHaveRun: true, exitCode: 1, signal: null };
        this.#close(call, { error: { code: -32_000, message: 'it crashed', data } });
      }
    }
    for (const [client, calls] of again) client.waiting = [...calls, ...client.waiting];
    process.calls.clear();
    process.own.clear();
  }

  /** Compares what each process was sent with what it should have got. */
  async #look(): Promise<void> {
    const processes = [...(this.#current ? [this.#current] : []), ...this.#retiring, ...this.#lost];
    await flush(1);
    const sent = await Promise.all(processes.map(({ server }) => server.sent()));
    for (const [index, process] of processes.entries()) {
      for (const message of sent[index] ?? []) this.#got(process, message);
      // One that is lost may get what was written before, or nothing.
      if (!this.#lost.includes(process)) expect(process.due).toEqual([]);
      process.due = [];
      expect(process.calls.size).toBeLessThanOrEqual(this.#maxInFlight);
      expect(process.server.upstream.openRequests).toBe(process.calls.size);
    }
    const current = this.#current;
    if (current && (await this.#answerWishes(current))) return this.#look();
    expect(this.#cancelled).toEqual([]);
    if (current === undefined) return;
    const waiting = this.#here.reduce((sum, client) => sum + client.waiting.length, 0);
    // Nothing waits without a reason.
    if (waiting > 0 && !this.#isSuspended) expect(current.calls.size).toBe(this.#maxInFlight);
    expect([...current.uris].sort()).toEqual([...this.#subscriptions.keys()].sort());
    const asked = this.#here.map(({ level }) => level);
    const wanted =
      LEVELS.find((level) => asked.includes(level)) &&
      LEVELS.find((level) => asked.some((own) => (own ?? 'debug') === level));
    // Where no session asks for one any more, the server says all.
    if (wanted === undefined) expect(['debug', undefined]).toContain(current.level);
    else expect(current.level).toBe(wanted);
  }

  #got(process: Process, message: JsonRpcMessage): void {
    const { id, method, params } = message;
    expect(this.#lost).not.toContain(process);
    const { tag, uri, level } = (params ?? {}) as { tag?: number; uri?: string; level?: string };
    if (tag !== undefined) return this.#gotCall(process, message, tag);
    const due = process.due.findIndex((one) => {
      if ('error' in one) return method === undefined && message.error !== undefined && id === 'q';
      return isDeepStrictEqual(one, message);
    });
    if (due !== -1) return void process.due.splice(due, 1);
    expect(process).toBe(this.#current);
    expect(process.seen).not.toContain(id);
    process.seen.add(id as RequestId);
    if (method === 'logging/setLevel') {
      process.level = level;
      process.own.set(id as RequestId, 'wish');
    } else if (method === 'resources/subscribe') {
      expect(process.uris).not.toContain(uri);
      process.uris.add(uri ?? '');
      process.own.set(id as RequestId, 'wish');
      const subscription = this.#subscriptions.get(uri ?? '');
      for (const call of subscription?.waiting?.splice(0) ?? []) this.#close(call, { result: {} });
      if (subscription) subscription.waiting = undefined;
    } else if (method === 'resources/unsubscribe') {
      expect(process.uris).toContain(uri);
      process.uris.delete(uri ?? '');
      process.own.set(id as RequestId, 'wish');
    } else if (method === 'tasks/cancel') {
      const { taskId } = params as { taskId: string };
      expect(this.#cancelled).toContain(taskId);
      this.#cancelled = without(this.#cancelled, taskId);
      process.own.set(id as RequestId, 'tools');
    } else {
      expect(message).toEqual({ jsonrpc: '2.0', id, method: 'tools/list', params: {} });
      process.own.set(id as RequestId, 'tools');
    }
  }

  /** It must be the next of its session, and as the session sent it but for the id and the token. */
  #gotCall(process: Process, { id, ...message }: JsonRpcMessage, tag: number): void {
    expect(process).toBe(this.#current);
    const client = this.#here.find(({ waiting }) => (waiting[0]?.message.params as { tag: number })?.tag === tag);
    expect(client, `${message.method} ${tag} is the next of a session`).toBeDefined();
    const call = client?.waiting.shift() as Call;
    const { id: original, ...sent } = call.message;
    const token = tokenOf(sent) === undefined ? {} : { _meta: { progressToken: id } };
    expect(message).toEqual({ ...sent, params: { ...(sent.params as object), ...token } });
    if (original === undefined) return;
    expect(process.seen).not.toContain(id);
    process.seen.add(id as RequestId);
    call.at = process;
    call.wireId = id as RequestId;
    process.calls.set(call.wireId, call);
  }
}

const RUNS = propertyRuns(300);
vi.setConfig({ testTimeout: RUNS.testTimeout });

describe('sessions that share a server', () => {
  it('[SHARE-1] [SHARE-2] [SHARE-3] [SHARE-4] [FLOW-1] [FAIL-1] [FAIL-2] [FAIL-3] hear what each would hear alone, whatever happens', async () => {
    await assertWithin(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 5 }),
        fc.constantFrom(1, 2, Infinity),
        fc.array(step, { maxLength: 60, size: 'max' }),
        async (clients, maxInFlight, steps) => {
          const world = new World(clients, maxInFlight);
          for (const each of steps) await world.run(each);
          await world.end();
        },
      ),
      RUNS,
    );
  });
});
