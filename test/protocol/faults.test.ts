import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ServerDefinition } from '../../src/config/options.js';
import { MessageReader } from '../../src/protocol/channels/framing.js';
import type { RequestId } from '../../src/protocol/json-rpc.js';
import { OpenRequests } from '../../src/protocol/mux/open-requests.js';
import { RequestFlow } from '../../src/protocol/mux/request-flow.js';
import { ServerMessages } from '../../src/protocol/mux/server-messages.js';
import { Subscriptions } from '../../src/protocol/mux/subscriptions.js';
import { Session } from '../../src/protocol/session.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, outcome, rejection } from '../helpers/until.js';

// A fault is injected by a method that throws once.

afterEach(() => {
  vi.restoreAllMocks();
});

const fault = new TypeError('injected');

function throwsOnce<T extends object>(target: T, method: keyof T & string): void {
  vi.spyOn(target as Record<string, () => void>, method).mockImplementationOnce(() => {
    throw fault;
  });
}

/** A pool with one server of this definition, and a client that waits for the answer to a call. */
async function waiting(definition: Partial<ServerDefinition>, method = 'tools/call') {
  const all = setUp({ servers: { a: { command: 'fake', ...definition } } });
  const { pool, launcher } = all;
  const faults: unknown[] = [];
  pool.on('internal:error', (event) => faults.push(event));
  const lease = await pool.getServer('a', { tenant: 'alice' });
  const client = await RawClient.connect(lease.transport);
  const server = launcher.last;
  server.auto = { ...server.auto, answer: false };
  const call = client.request(method, { name: 'x' }, 'call');
  await flush();
  const wireId = server.received.at(-1)?.id as RequestId;
  const { instanceId, pid } = lease;
  /** Checks the event, and the answer to the call; then that a caller is served again. */
  const check = async () => {
    await flush();
    expect(await rejection(call)).toMatchObject({
      code: -32_000,
      message: expect.stringMatching(/server 'a'.*TypeError: injected.*report it/),
      data: { reason: 'INTERNAL_ERROR', mayHaveRun: true },
    });
    expect(faults).toEqual([
      {
        ...{ name: 'a', instanceId, pid, tenant: 'alice', callers: [] },
        leases: [{ leaseId: lease.id, owner: undefined }],
        error: expect.objectContaining({
          code: 'INTERNAL_ERROR',
          cause: fault,
          data: expect.objectContaining({ name: 'a', instanceId, pid }),
        }),
      },
    ]);
    expect(client.strays).toEqual([]);
    await all.clock.advanceAndFlush(10_000);
    expect(server.alive).toBe(false);
    const next = definition.sharing === 'shared' ? lease : await pool.getServer('a', { tenant: 'alice' });
    const other = definition.sharing === 'shared' ? client : await RawClient.connect(next.transport);
    expect(await other.request('tools/call', { name: 'y' })).toEqual({ echo: { name: 'y' } });
  };
  return { ...all, lease, client, server, call, wireId, faults, check };
}

describe('a fault of this library', () => {
  describe.each(['shared', 'exclusive', 'dedicated'] as const)('on a server that is %s', (sharing) => {
    it('[FAULT-1] [FAULT-2] in the receive path answers the request that it concerns, and is an event', async () => {
      const { server, wireId, check } = await waiting({ sharing });
      throwsOnce(Session.prototype, 'receive');
      server.answer(wireId, {});
      await check();
    });

    it('[FAULT-1] [FAULT-2] in the receive path answers the requests that wait, too', async () => {
      const { server, check } = await waiting({ sharing });
      throwsOnce(Session.prototype, 'receive');
      server.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'error', data: 'x' } });
      await check();
    });

    it('[FAULT-1] [FAULT-2] where messages are read is one, too', async () => {
      const { server, check } = await waiting({ sharing });
      throwsOnce(MessageReader.prototype, 'push');
      server.say({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
      await check();
    });
  });

  it('[FAULT-1] does not repeat what is safe to repeat: the fault might come again', async () => {
    const { server, wireId, check } = await waiting({ sharing: 'shared' }, 'tools/list');
    throwsOnce(Session.prototype, 'receive');
    server.answer(wireId, {});
    await check();
  });

  it.each(['onAnswer', 'onNotification', 'onRequest', 'onRoom'] as const)(
    '[FAULT-1] [FAULT-2] in what is done with messages of the server (%s)',
    async (method) => {
      const { client, server, wireId, check } = await waiting({ sharing: 'exclusive' });
      throwsOnce(ServerMessages.prototype, method);
      if (method === 'onAnswer') server.answer(wireId, {});
      if (method === 'onNotification') server.say({ jsonrpc: '2.0', method: 'notifications/x' });
      if (method === 'onRequest') server.say({ jsonrpc: '2.0', id: 1, method: 'roots/list' });
      if (method === 'onRoom') await client.notify('notifications/x');
      await check();
    },
  );

  it('[FAULT-1] [FAULT-2] in what follows a write', async () => {
    const { client, check } = await waiting({ sharing: 'shared' });
    throwsOnce(RequestFlow.prototype, 'pump');
    await client.notify('notifications/x');
    await check();
  });

  it('[FAULT-1] rejects what could not be written', async () => {
    const { client, server, check } = await waiting({ sharing: 'dedicated' });
    vi.spyOn(server.stdin, 'write').mockImplementationOnce(() => {
      throw fault;
    });
    expect(await rejection(client.notify('notifications/x'))).toMatchObject({ code: 'INTERNAL_ERROR' });
    await check();
  });

  it('[FAULT-1] [FAULT-2] when the answer of the pool itself is handed over', async () => {
    const { client, check } = await waiting({ sharing: 'shared' });
    throwsOnce(Session.prototype, 'receive');
    const ping = client.request('ping');
    expect(await rejection(ping)).toMatchObject({ data: { reason: 'INTERNAL_ERROR' } });
    await check();
  });

  it('[FAULT-1] [FAULT-2] in what is done with the answer to a request of the pool', async () => {
    const { client, server, check } = await waiting({ sharing: 'shared' });
    const subscribed = client.request('resources/subscribe', { uri: 'a' });
    await flush();
    throwsOnce(OpenRequests.prototype, 'answer');
    server.answer(server.received.at(-1)?.id as RequestId, {});
    expect(await rejection(subscribed)).toMatchObject({ data: { reason: 'INTERNAL_ERROR' } });
    await check();
  });

  it('[FAULT-1] [FAULT-2] in a timer', async () => {
    const { client, clock, check } = await waiting({ sharing: 'shared', maxInFlight: 2 });
    const other = client.request('tools/call', { name: 'slow' }, 'slow');
    await client.notify('notifications/cancelled', { requestId: 'slow' });
    expect(await outcome(other)).toBe('pending');
    throwsOnce(RequestFlow.prototype, 'pump');
    await clock.advanceAndFlush(60_000);
    await check();
  });

  it('[FAULT-1] [FAULT-2] while a process is lost: every request is answered all the same', async () => {
    const { client, server, call, faults } = await waiting({ sharing: 'shared' });
    const other = client.request('tools/call', { name: 'other' });
    await flush();
    throwsOnce(Session.prototype, 'receive');
    server.exit({ exitCode: 1 });
    await flush();
    for (const lost of [call, other]) expect(await rejection(lost)).toMatchObject({ code: -32_000 });
    expect(faults).toHaveLength(1);
  });

  it('[FAULT-1] [FAULT-2] when sessions are put on another process', async () => {
    const { client, clock, launcher, server, faults } = await waiting({ sharing: 'shared' });
    const subscribed = client.request('resources/subscribe', { uri: 'a' });
    await flush();
    server.answer(server.received.at(-1)?.id as RequestId, {});
    await subscribed;
    throwsOnce(Subscriptions.prototype, 'replay');
    server.exit({ exitCode: 1 });
    await flush();
    const again = client.request('tools/call', { name: 'y' });
    await clock.advanceAndFlush(10_000);
    expect(faults).toEqual([expect.objectContaining({ instanceId: expect.any(String) })]);
    expect(launcher.servers).toHaveLength(3);
    expect(await again).toEqual({ echo: { name: 'y' } });
  });

  it('[FAULT-1] [FAULT-2] during a start rejects the caller', async () => {
    const { pool, clock } = setUp({ servers: { a: { command: 'fake', sharing: 'shared' } } });
    const faults: unknown[] = [];
    pool.on('internal:error', (event) => faults.push(event));
    throwsOnce(MessageReader.prototype, 'push');
    expect(await rejection(pool.getServer('a'))).toMatchObject({ code: 'INTERNAL_ERROR', cause: fault });
    expect(faults).toHaveLength(1);
    await clock.advanceAndFlush(10_000);
    expect(await pool.getServer('a')).toMatchObject({ name: 'a' });
  });

  it('[FAULT-1] [FAULT-2] while a session ends does not stop what the pool is doing', async () => {
    const { pool, lease, server, faults } = await waiting({ sharing: 'shared' });
    throwsOnce(Subscriptions.prototype, 'drop');
    expect(lease.release()).toBe(true);
    await flush();
    expect(faults).toHaveLength(1);
    expect(server.alive).toBe(false);
    expect(await pool.getServer('a', { tenant: 'alice' })).toMatchObject({ name: 'a' });
  });

  it('[FAULT-1] ends the server concerned, and no other', async () => {
    const { pool, server, check } = await waiting({ sharing: 'shared' });
    const bob = await pool.getServer('a', { tenant: 'bob' });
    throwsOnce(ServerMessages.prototype, 'onNotification');
    server.say({ jsonrpc: '2.0', method: 'notifications/x' });
    await check();
    const client = await RawClient.connect(bob.transport);
    expect(await client.request('tools/call', { name: 'z' })).toEqual({ echo: { name: 'z' } });
  });
});

it('[FAULT-3] what the handler of a client throws is reported to the client, and is no fault of this library', async () => {
  const { client, server, call, wireId, faults } = await waiting({ sharing: 'shared' });
  const thrown = new Error('by the client');
  const { onmessage } = client.transport;
  client.transport.onmessage = (message) => {
    onmessage?.(message);
    throw thrown;
  };
  server.answer(wireId, { fine: true });
  expect(await call).toEqual({ fine: true });
  expect(client.errors).toEqual([thrown]);
  expect(faults).toEqual([]);
  expect(server.alive).toBe(true);
});

it('[FAULT-1] a fault that no process is there for is an event of the last one', async () => {
  const { client, server, faults } = await waiting({ sharing: 'shared' });
  server.exit({ exitCode: 1 });
  await flush();
  throwsOnce(Session.prototype, 'receive');
  const ping = client.request('ping');
  expect(await rejection(ping)).toMatchObject({ data: { reason: 'INTERNAL_ERROR' } });
  expect(faults).toHaveLength(1);
});
