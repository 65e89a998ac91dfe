import { describe, expect, it, onTestFinished } from 'vitest';
import type { AcquireOptions, MCPServerPool, PooledTransport, ServerDefinition } from '../../src/index.js';
import { JumpingClock } from '../helpers/clock.js';
import { fixture } from '../helpers/fixture.js';
import { descendants, isLiving } from '../helpers/processes.js';
import { open, record } from '../helpers/real-pool.js';
import { type SdkClient, sdkClients, textOf } from '../helpers/sdk-clients.js';
import { endGlobalPoolAfterEach, params, Watched } from '../helpers/stdio.js';
import { rejection, until } from '../helpers/until.js';

const blocks = (policy: Partial<ServerDefinition> = {}) => ({ ...fixture('blocks'), eofGrace: 50, ...policy });
const TIMEOUT = { timeout: 300 };

async function connected(makeClient: () => SdkClient, transport: PooledTransport): Promise<SdkClient> {
  const client = makeClient();
  await client.connect(transport);
  return client;
}

async function lease(makeClient: () => SdkClient, pool: MCPServerPool, options?: AcquireOptions) {
  const server = await pool.getServer('a', options);
  return { server, client: await connected(makeClient, server.transport) };
}

const call = (client: SdkClient, name: string, args: Record<string, unknown> = {}, options = {}) =>
  client.callTool({ name, arguments: args }, options);

const CLIENTS = Object.entries(sdkClients).filter(([name]) => !name.includes('negotiates'));

describe.each(CLIENTS)('a call that times out in a client of %s', (_sdk, makeClient) => {
  it('[GIVEUP-2] that blocks an exclusive server: the next lease works, on another process', async () => {
    const clock = new JumpingClock();
    const pool = open({ a: blocks() }, {}, clock);
    const stopping = record(pool, 'server:stopping');
    const first = await lease(makeClient, pool);
    const { pid } = first.server;
    await rejection(call(first.client, 'block', {}, TIMEOUT));
    await first.client.close();
    const second = pool.getServer('a');
    clock.jump(5_000);
    const server = await second;
    expect(server.pid).not.toBe(pid);
    const client = await connected(makeClient, server.transport);
    expect(textOf(await call(client, 'pid'))).toBe(String(server.pid));
    expect(stopping).toMatchObject([{ pid, reason: 'unfinished' }]);
    expect(await first.server.ended).toMatchObject({ confirmed: true });
    expect(isLiving(pid as number)).toBe(false);
  });

  it('[GIVEUP-6] that blocks an exclusive server: its lease ends while it is held, or moves', async () => {
    for (const onCrash of ['close', 'restart'] as const) {
      const clock = new JumpingClock();
      const pool = open({ a: blocks({ onCrash }) }, {}, clock);
      const stopping = record(pool, 'server:stopping');
      const { server, client } = await lease(makeClient, pool, { owner: 'x' });
      const { pid } = server;
      await rejection(call(client, 'block', {}, TIMEOUT));
      const waits = rejection(call(client, 'pid'));
      await until('it is ended', () => {
        clock.jump(5_000);
        return stopping.length > 0;
      });
      expect(stopping).toMatchObject([{ pid, reason: 'stuck' }]);
      expect(await waits).toMatchObject({ code: -32_000, data: { reason: 'SERVER_UNRESPONSIVE' } });
      if (onCrash === 'close') expect(await server.ended).toMatchObject({ confirmed: true, pid });
      else expect(textOf(await call(client, 'pid'))).toBe(String(server.pid));
      await until('it is dead', () => !isLiving(pid as number));
    }
  });

  it('[GIVEUP-5] that an exclusive server with maxInFlight: 1 never answers: the next lease gets another process', async () => {
    const clock = new JumpingClock();
    const pool = open({ a: blocks({ maxInFlight: 1 }) }, {}, clock);
    const first = await lease(makeClient, pool);
    const { pid } = first.server;
    await rejection(call(first.client, 'never', {}, TIMEOUT));
    await first.client.close();
    const calls = lease(makeClient, pool);
    // That it answers the ping does not show that it works on nothing.
    clock.jump(5_000);
    const second = await calls;
    expect(second.server.pid).not.toBe(pid);
    expect(textOf(await call(second.client, 'pid'))).toBe(String(second.server.pid));
  });

  it('[GIVEUP-2] that an exclusive server never answers, and does not block: its owner keeps its process', async () => {
    const pool = open({ a: blocks() });
    const first = await lease(makeClient, pool, { owner: 'x' });
    await rejection(call(first.client, 'never', {}, TIMEOUT));
    await call(first.client, 'navigate', { url: 'mine', ms: 0 });
    await rejection(call(first.client, 'never', {}, TIMEOUT));
    await first.client.close();
    const second = await lease(makeClient, pool, { owner: 'x' });
    expect(second.server.pid).toBe(first.server.pid);
    expect(textOf(await call(second.client, 'page'))).toBe('mine');
  });

  it('[GIVEUP-1] with an effect that comes late: not in the session of another owner', async () => {
    for (const reuse of ['tenant', 'owner'] as const) {
      const pool = open({ a: blocks({ reuse, maxInstances: 1 }) });
      const stopping = record(pool, 'server:stopping');
      const first = await lease(makeClient, pool, { owner: 'x' });
      await rejection(call(first.client, 'navigate', { url: 'of x', ms: 5_000 }, TIMEOUT));
      await first.client.close();
      const second = await lease(makeClient, pool, { owner: 'y' });
      expect(second.server.pid).not.toBe(first.server.pid);
      expect(textOf(await call(second.client, 'page'))).toBe('none');
      expect(stopping).toMatchObject([{ pid: first.server.pid, reason: 'unfinished' }]);
    }
  });

  it('[GIVEUP-3] that blocks a shared server: it is replaced, and all sessions go on', async () => {
    const clock = new JumpingClock();
    const pool = open({ a: blocks({ sharing: 'shared', maxInFlight: 2 }) }, {}, clock);
    const stopping = record(pool, 'server:stopping');
    const a = await lease(makeClient, pool, { owner: 'x' });
    const b = await lease(makeClient, pool, { owner: 'y' });
    const { pid } = a.server;
    const other = rejection(call(b.client, 'never'));
    await rejection(call(a.client, 'block', {}, TIMEOUT));
    await until('it is ended', () => {
      clock.jump(5_000);
      return stopping.length > 0;
    });
    expect(stopping).toMatchObject([{ pid, reason: 'stuck' }]);
    expect(await other).toMatchObject({ code: -32_000, data: { reason: 'SERVER_UNRESPONSIVE', retryable: true } });
    expect(textOf(await call(b.client, 'pid'))).toBe(String(b.server.pid));
    expect(textOf(await call(a.client, 'pid'))).toBe(String(a.server.pid));
    expect(a.server.pid).not.toBe(pid);
    expect(a.server.pid).toBe(b.server.pid);
  });

  it('[GIVEUP-1] that blocks a dedicated server: its process ends with its lease', async () => {
    const pool = open({ a: blocks({ sharing: 'dedicated' }) });
    const first = await lease(makeClient, pool);
    await rejection(call(first.client, 'block', {}, TIMEOUT));
    await first.client.close();
    expect(await first.server.ended).toMatchObject({ confirmed: true, pid: first.server.pid });
    const second = await lease(makeClient, pool);
    expect(textOf(await call(second.client, 'pid'))).toBe(String(second.server.pid));
  });
});

describe('a call that times out over the drop-in', () => {
  endGlobalPoolAfterEach();

  it.each(CLIENTS)('[GIVEUP-1] blocks its own process only, which ends with it (%s)', async (_sdk, makeClient) => {
    const { transport } = new Watched(params('blocks'));
    const client = await connected(makeClient, transport);
    const { pid } = transport;
    await rejection(call(client, 'block', {}, TIMEOUT));
    await client.close();
    expect(isLiving(pid as number)).toBe(false);
    const next = new Watched(params('blocks'));
    const again = await connected(makeClient, next.transport);
    onTestFinished(() => again.close());
    expect(textOf(await call(again, 'pid'))).toBe(String(next.transport.pid));
    expect(descendants()).toHaveLength(1);
  });
});
