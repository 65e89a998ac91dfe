import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { RequestEndMessage, RequestStartMessage } from '../../../src/index.js';
import { RawClient } from '../../helpers/client.js';
import { leases, setUp, shared } from '../../helpers/fake-pool.js';
import { flush, rejection } from '../../helpers/until.js';

/** What is published of requests from now on. */
function subscribed() {
  const started: { message: RequestStartMessage; meta: unknown }[] = [];
  const ended: RequestEndMessage[] = [];
  // `meta` is there only while the subscriber is called.
  const onStart = (message: unknown) =>
    void started.push({ message: message as RequestStartMessage, meta: (message as RequestStartMessage).request.meta });
  const onEnd = (message: unknown) => void ended.push(message as RequestEndMessage);
  subscribe('mcp-server-pool:request:start', onStart);
  subscribe('mcp-server-pool:request:end', onEnd);
  const end = () => {
    unsubscribe('mcp-server-pool:request:start', onStart);
    unsubscribe('mcp-server-pool:request:end', onEnd);
  };
  onTestFinished(end);
  return { started, ended, end };
}

describe('the channels of requests', () => {
  it.each(['shared', 'exclusive', 'dedicated'] as const)(
    '[CHANNEL-1] have the begin and the end of each request of a server that is %s',
    async (sharing) => {
      const { pool, launcher, clock } = setUp({ servers: { a: { command: 'fake', sharing } } });
      const lease = await pool.getServer('a', { tenant: 't' });
      const client = await RawClient.connect(lease.transport);
      const { started, ended, end } = subscribed();
      launcher.last.auto = { ...launcher.last.auto, answer: false };
      const call = client.request('tools/call', { name: 'x', _meta: { traceparent: 'y' } }, 'call');
      await flush();
      expect(started).toMatchObject([
        {
          message: { request: { method: 'tools/call', tool: 'x' }, server: { name: 'a', tenant: 't' } },
          meta: { traceparent: 'y' },
        },
      ]);
      expect(started[0]?.message.pool).toBe(pool);
      expect(ended).toEqual([]);
      clock.jump(250);
      const asked = launcher.last.received.find(({ method }) => method === 'tools/call');
      launcher.last.answer(asked?.id as string, { isError: true });
      await call;
      expect(ended).toMatchObject([{ outcome: 'tool-error', duration: 250, server: { instanceId: lease.instanceId } }]);
      expect(ended[0]?.request).toBe(started[0]?.message.request);
      expect(ended[0]?.pool).toBe(pool);
      // After the end of the subscription nothing comes.
      end();
      launcher.last.auto = { ...launcher.last.auto, answer: true };
      await client.request('tools/list');
      expect([started.length, ended.length]).toEqual([1, 1]);
    },
  );

  it('[CHANNEL-1] say that a request was refused, lost, or given up, with the code that the client got', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    const { ended } = subscribed();
    launcher.last.onRequest = ({ id, method }) => {
      if (method === 'refused') launcher.last.say({ jsonrpc: '2.0', id, error: { code: -32_601, message: 'no' } });
      return undefined;
    };
    await rejection(one?.client.request('refused') ?? Promise.resolve());
    void one?.client.request('given up', {}, 'given-up');
    await flush();
    await one?.client.notify('notifications/cancelled', { requestId: 'given-up' });
    const lost = rejection(one?.client.request('tools/call', { name: 'x' }) ?? Promise.resolve());
    await flush();
    launcher.last.exit({ exitCode: 1 });
    await lost;
    expect(ended.map(({ request: { method }, outcome, errorCode }) => [method, outcome, errorCode])).toEqual([
      ['refused', 'error', -32_601],
      ['given up', 'cancelled', undefined],
      ['tools/call', 'lost', -32_000],
    ]);
  });

  it('[CHANNEL-1] have the end alone of a request that began before there was a subscriber', async () => {
    const { pool, launcher } = setUp({ servers: { a: shared } });
    const [one] = await leases(pool, 1);
    launcher.last.auto = { ...launcher.last.auto, answer: false };
    const call = one?.client.request('tools/list');
    await flush();
    const { started, ended } = subscribed();
    launcher.last.answer(launcher.last.received.at(-1)?.id as string, {});
    await call;
    expect([started.length, ended.map(({ outcome }) => outcome)]).toEqual([0, ['ok']]);
  });
});
