import { describe, expect, it } from 'vitest';
import { CleanupQueue } from '../../src/process/cleanup-queue.js';
import { Subscriptions } from '../../src/protocol/mux/subscriptions.js';
import { Tasks } from '../../src/protocol/mux/tasks.js';
import { ToolList } from '../../src/protocol/mux/tool-list.js';
import { memoryOf } from '../helpers/heap.js';

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

describe('things that a client makes large', () => {
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
