import { describe, expect, it } from 'vitest';
import { PoolError } from '../../src/errors.js';
import { CleanupQueue } from '../../src/process/cleanup-queue.js';
import { Noise } from '../../src/protocol/channels/noise.js';
import { readInitializeResult } from '../../src/protocol/eras/handshake.js';
import { undeclaredCapabilities } from '../../src/protocol/eras/undeclared.js';
import { RecentIds } from '../../src/protocol/mux/recent-ids.js';
import { Subscriptions } from '../../src/protocol/mux/subscriptions.js';
import { Tasks } from '../../src/protocol/mux/tasks.js';
import { ToolList } from '../../src/protocol/mux/tool-list.js';
import { setUp } from '../helpers/fake-pool.js';
import { memoryOf } from '../helpers/heap.js';
import { flush } from '../helpers/until.js';

// What is bounded by a count is bounded by its size, too: a server or a client chooses how large each thing is.

const MB = 1_048_576;
const large = (index: number) => `${index} ${'x'.repeat(MB / 4)}`;

describe('things that a server makes large', () => {
  it('[MEM-3] the ids of its tasks', () => {
    const tasks = new Tasks<string>();
    const memory = memoryOf(() => {
      for (let index = 0; index < 60; index++)
        tasks.began('a', { result: { task: { taskId: large(index) } } }, undefined);
      return tasks;
    });
    expect(memory).toBeLessThan(MB);
    expect(tasks.ownerOf(large(1))).toBeUndefined();
    tasks.began('a', { result: { task: { taskId: 'x'.repeat(4_096) } } }, undefined);
    expect(tasks.ownerOf('x'.repeat(4_096))).toBe('a');
  });

  it('[MEM-3] the pages of its tools', () => {
    const list = new ToolList();
    const memory = memoryOf(() => {
      for (let page = 0; page < 90; page++) {
        const cursor = page === 0 ? undefined : `${page}`;
        list.page(cursor, { result: { tools: [{ name: large(page) }], nextCursor: `${page + 1}` } });
      }
      return list;
    });
    expect(memory).toBeLessThan(MB);
    expect([list.isWhole, list.cursor]).toEqual([false, undefined]);
    list.page(undefined, { result: { tools: [{ name: 'small', annotations: { readOnlyHint: true } }] } });
    expect([list.isWhole, list.isRepeatable('small')]).toEqual([true, true]);
  });

  it('[MEM-3] the lines of which the beginning is shown', () => {
    // Made new each time, as what is read from a pipe is.
    const line = (index: number) => Buffer.from(large(index).repeat(8)).toString();
    const noise = new Noise();
    const memory = memoryOf(() => {
      for (let index = 0; index < 5; index++) noise.answer({ jsonrpc: '2.0', id: line(index), result: {} });
      for (let index = 0; index < 5; index++) noise.line(line(index));
      return noise;
    });
    expect(memory).toBeLessThan(MB);
    expect(noise.first).toHaveLength(5);
    expect(noise.first[0]).toMatch(/^\{"jsonrpc":"2.0","id":"0 x+…$/);
  });

  it('[MEM-3] the words with which it refuses the handshake', () => {
    const kept: unknown[] = [];
    const refusal = (why: string) => new PoolError('HANDSHAKE_FAILED', `it ${why}`);
    const memory = memoryOf(() => {
      for (let index = 0; index < 20; index++) {
        try {
          const error = { code: 1, message: Buffer.from(large(index)).toString() };
          readInitializeResult({ error }, ['x'], refusal);
        } catch (error) {
          kept.push(error);
        }
      }
      return kept;
    });
    expect(kept.filter((error) => error instanceof PoolError && error.message.includes('xxx'))).toHaveLength(20);
    expect(memory).toBeLessThan(MB);
  });

  it('[MEM-3] the number of its processes that survive, in the status of its end', async () => {
    const queue = new CleanupQueue({ retries: 0 });
    const survivors = Array.from({ length: 20_000 }, (_, index) => ({ pid: index + 2, command: 'survivor' }));
    const end = async () => ({
      pid: 1,
      endedBy: 'SIGKILL' as const,
      steps: [],
      duration: 0,
      survivors: [...survivors],
    });
    const report = await queue.enqueue({ id: 'one', name: 'one', end });
    expect(report.survivors).toHaveLength(20_000);
    const kept = queue.status('one')?.report;
    expect([kept?.survivors.length, kept?.termination?.survivors.length]).toEqual([100, 100]);
    expect(kept?.error).toMatch(/^20000 of its processes .*, and 19990 more$/);
    expect(kept?.error?.length).toBeLessThan(500);
  });
});

describe('things of tenants', () => {
  it('[MEM-3] the breakers of a server: with its last errors, the oldest are dropped', async () => {
    const restart = { maxRestarts: 0, cooldown: 1_000_000 };
    const { pool, launcher } = setUp(
      { servers: { a: { command: 'fake', restart }, b: { command: 'fake', restart } } },
      { initialize: false },
    );
    const fail = async (name: string, tenant: string) => {
      const call = pool.getServer(name, { tenant }).catch((error: PoolError) => error.code);
      await flush();
      launcher.last.exit({ exitCode: 1 });
      expect(await call).toBe('SERVER_EXITED');
    };
    await fail('b', 'first of all');
    for (let tenant = 0; tenant < 1_005; tenant++) await fail('a', `tenant ${tenant}`);
    const { a, b } = pool.status().servers;
    expect(a?.breakers.map(({ tenant }) => tenant)).toEqual(
      Array.from({ length: 1_000 }, (_, index) => `tenant ${index + 5}`),
    );
    expect(b?.breakers.map(({ state }) => state)).toEqual(['open']);
    expect(await pool.getServer('a', { tenant: 'tenant 5' }).catch(({ code }: PoolError) => code)).toBe('BREAKER_OPEN');
    await fail('a', 'tenant 0');
  });
});

describe('things that a client makes large', () => {
  it('[MEM-3] the progress tokens of its tasks', () => {
    const tasks = new Tasks<string>();
    const begin = (taskId: string, token: string) => {
      tasks.began('a', { result: { task: { taskId } } }, { wireId: taskId, token });
    };
    const memory = memoryOf(() => {
      for (let index = 0; index < 60; index++) begin(`task ${index}`, large(index));
      return tasks;
    });
    expect(memory).toBeLessThan(MB);
    expect([tasks.ownerOf('task 1'), tasks.ownerOfToken('task 1')]).toEqual(['a', undefined]);
    begin('small', 'x'.repeat(4_096));
    expect(tasks.ownerOfToken('small')?.token).toHaveLength(4_096);
  });

  it('[MEM-3] the ids of requests that it has given up', () => {
    const ids = new RecentIds();
    const memory = memoryOf(() => {
      for (let index = 0; index < 60; index++) ids.add(large(index));
      ids.add('x'.repeat(4_096));
      return ids;
    });
    expect(memory).toBeLessThan(MB);
    expect([ids.take(large(1)), ids.take('x'.repeat(4_096))]).toEqual([false, true]);
  });

  it('[MEM-3] the names of its capabilities', () => {
    const all: string[][] = [];
    const memory = memoryOf(() => {
      for (let index = 0; index < 20; index++) {
        const client = JSON.parse(JSON.stringify({ [large(index)]: {} })) as object;
        all.push(undeclaredCapabilities(client, {}, false));
      }
      return all;
    });
    expect(all.map(([name]) => name?.length)).toEqual(Array(20).fill(100));
    expect(memory).toBeLessThan(2 * MB);
  });

  it('[MEM-3] the parameters of its subscriptions', () => {
    const subscriptions = new Subscriptions<string, { session: string }>({ send() {}, answer() {} });
    const subscribe = (uri: string, more: string) => {
      const params = { uri, more };
      return subscriptions.subscribe(
        { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params },
        { session: 'a' },
      );
    };
    for (let index = 0; index < 20; index++) {
      expect(subscribe(`uri ${index}`, large(index))?.error).toMatchObject({ code: -32_602 });
      expect([...subscriptions.subscribers(`uri ${index}`)]).toEqual([]);
    }
    expect(subscribe('\n'.repeat(10_000), 'x'.repeat(4_000))).toBeUndefined();
    expect([...subscriptions.subscribers('\n'.repeat(10_000))]).toEqual(['a']);
  });

  it('[MEM-3] the URIs that it subscribes to', () => {
    const subscriptions = new Subscriptions<string, { session: string }>({ send() {}, answer() {} });
    const subscribe = (uri: string) => {
      const message = { jsonrpc: '2.0' as const, id: 1, method: 'resources/subscribe', params: { uri } };
      if (!subscriptions.isFull('a')) subscriptions.subscribe(message, { session: 'a' });
    };
    for (let index = 0; index < 60; index++) subscribe(large(index));
    expect([...subscriptions.subscribers(large(10))]).toEqual(['a']);
    expect([...subscriptions.subscribers(large(50))]).toEqual([]);
    expect([subscriptions.isFull('a'), subscriptions.isFull('b')]).toEqual([true, false]);
    subscriptions.drop('a');
    expect(subscriptions.isFull('a')).toBe(false);
  });
});
