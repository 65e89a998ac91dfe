import { describe, expect, it } from 'vitest';
import { partsOf } from '../../../src/pool/parts-of.js';
import type { ObservedRequest } from '../../../src/protocol/request-observer.js';
import { setUp as setUpPool } from '../../helpers/fake-pool.js';
import { connect, giveUp } from '../../helpers/give-up.js';
import { flush, rejection } from '../../helpers/until.js';

function setUp(options: Parameters<typeof setUpPool>[0]) {
  const all = setUpPool(options);
  const seen: unknown[][] = [];
  const open = new Set<ObservedRequest>();
  const remove = partsOf(all.pool).requests.add({
    isActive: true,
    requestSent(request, { name, tenant }) {
      open.add(request);
      seen.push(['sent', request.method, request.tool, name, tenant, request.meta]);
    },
    requestDone(request, { instanceId }, outcome, duration, error) {
      expect(open.delete(request)).toBe(true);
      seen.push(['done', request.tool ?? request.method, instanceId, outcome, duration, error]);
    },
  });
  const done = () =>
    seen.filter(([what]) => what === 'done').map(([, what, , outcome, , error]) => [what, outcome, error]);
  return { ...all, seen, done, open, remove };
}

describe.each(['shared', 'exclusive', 'dedicated'] as const)(
  'an observer of requests of a server that is %s',
  (sharing) => {
    const a = { command: 'fake', sharing, idleTimeout: Infinity, giveUpGrace: 600_000 } as const;

    it('[OBSERVE-1] learns of each request: its method, tool, _meta, server, duration and outcome, once', async () => {
      const { pool, launcher, clock, seen, done, open } = setUp({ servers: { a } });
      const { client, lease } = await connect(pool, 'a', { tenant: 't' });
      seen.length = 0;
      const server = launcher.last;
      server.onRequest = ({ id, params }) => {
        const { name } = params as { name?: string };
        if (name === 'wrong') server.say({ jsonrpc: '2.0', id: id!, error: { code: -32_602, message: 'no' } });
        if (name === 'failed') return { content: [], isError: true };
        return name === 'fine' ? { content: [] } : undefined;
      };
      const meta = { traceparent: '00-x' };
      await client.request('tools/call', { name: 'fine', _meta: meta });
      expect(seen).toEqual([
        ['sent', 'tools/call', 'fine', 'a', 't', meta],
        ['done', 'fine', lease.instanceId, 'ok', 0, undefined],
      ]);
      await client.request('tools/call', { name: 'failed' });
      await rejection(client.request('tools/call', { name: 'wrong' }));
      await giveUp(client, server);
      void client.request('tools/call', { name: 'lost' }).catch(() => {});
      await clock.advanceAndFlush(5_000);
      server.exit({ exitCode: 1 });
      await flush();
      expect(done()).toEqual([
        ['fine', 'ok', undefined],
        ['failed', 'tool-error', undefined],
        ['wrong', 'error', -32_602],
        ['slow', 'cancelled', undefined],
        ['lost', 'lost', sharing === 'dedicated' ? undefined : expect.any(Number)],
      ]);
      expect(seen.at(-1)?.[4]).toBe(5_000);
      expect(open.size).toBe(0);
    });

    it('[OBSERVE-1] learns of nothing once it is removed, and of what its lease leaves', async () => {
      const { pool, launcher, done, remove, seen } = setUp({ servers: { a } });
      const { client, lease } = await connect(pool, 'a');
      seen.length = 0;
      launcher.last.onRequest = () => undefined;
      void client.request('tools/call', { name: 'x' }).catch(() => {});
      await flush();
      lease.release();
      await flush();
      expect(done().map(([what, outcome]) => [what, outcome])).toEqual([
        ['x', expect.stringMatching(/^(cancelled|lost)$/)],
      ]);
      remove();
      const next = await connect(pool, 'a');
      const before = seen.length;
      launcher.last.onRequest = () => ({});
      await next.client.request('tools/call', { name: 'y' });
      expect(seen).toHaveLength(before);
    });
  },
);
