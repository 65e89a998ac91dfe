import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { CreateMessageRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it } from 'vitest';
import type { PooledTransport, ServerDefinition } from '../../src/index.js';
import { fixture } from '../helpers/fixture.js';
import { open } from '../helpers/real-pool.js';
import { textOf } from '../helpers/sdk-clients.js';
import { endGlobalPoolAfterEach, params, Watched } from '../helpers/stdio.js';
import { until } from '../helpers/until.js';

endGlobalPoolAfterEach();

const clientCapabilities = { roots: { listChanged: true }, sampling: {} };
const definition: ServerDefinition = { ...fixture('asks-roots'), sharing: 'exclusive', clientCapabilities };

interface RootsClient {
  connect(transport: PooledTransport): Promise<void>;
  close(): Promise<void>;
  callTool(params: { name: string }): Promise<unknown>;
}

const info = { name: 'roots', version: '1.0.0' };
/** Clients that have one root each. */
const clients: Readonly<Record<string, (uri: string) => RootsClient>> = {
  v1(uri) {
    const client = new ClientV1(info, { capabilities: clientCapabilities });
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri }] }));
    // Never answered.
    client.setRequestHandler(CreateMessageRequestSchema, () => new Promise<never>(() => {}));
    return client as RootsClient;
  },
  v2(uri) {
    const client = new ClientV2(info, { capabilities: clientCapabilities, versionNegotiation: { mode: 'auto' } });
    client.setRequestHandler('roots/list', () => ({ roots: [{ uri }] }));
    client.setRequestHandler('sampling/createMessage', () => new Promise<never>(() => {}));
    return client as unknown as RootsClient;
  },
};

const call = async (client: RootsClient, name: string) =>
  JSON.parse(textOf(await client.callTool({ name }))) as unknown;
const knows = (client: RootsClient, uri: string) =>
  until(`the server knows ${uri}`, async () => JSON.stringify(await call(client, 'roots')) === JSON.stringify([uri]));

describe('what a server asks when it is initialized', () => {
  for (const [version, make] of Object.entries(clients)) {
    it(`[EARLY-1] waits for the first client, and each later one is asked again: exclusive, client ${version}`, async () => {
      const pool = open({ roots: { ...definition, minIdle: 1 } });
      await pool.warm('roots', { count: 1 });
      const pids = new Set<unknown>();
      for (const [index, uri] of ['file:///one', 'file:///two', 'file:///three'].entries()) {
        const client = make(uri);
        await client.connect((await pool.getServer('roots')).transport);
        await knows(client, uri);
        pids.add(await call(client, 'pid'));
        expect(await call(client, 'outcomes')).toEqual(Array.from({ length: index + 1 }, () => 'roots'));
        await client.close();
      }
      expect(pids.size).toBe(1);
    });

    it(`[EARLY-3] ends with its lease: exclusive, client ${version}`, async () => {
      const pool = open({ roots: definition });
      const first = make('file:///one');
      await first.connect((await pool.getServer('roots')).transport);
      await knows(first, 'file:///one');
      await call(first, 'ask');
      await first.close();
      const next = make('file:///two');
      await next.connect((await pool.getServer('roots')).transport);
      await knows(next, 'file:///two');
      const outcomes = (await call(next, 'outcomes')) as string[];
      expect(outcomes).toContainEqual(expect.stringContaining('not sampled: '));
      expect(outcomes).not.toContain('sampled');
      await next.close();
    });

    it(`[EARLY-1] reaches the one client there is: dedicated and in the drop-in, client ${version}`, async () => {
      const pool = open({ roots: { ...definition, sharing: 'dedicated' } });
      // The v2 client tries another era out on the transport of a dedicated lease; this server ends it then.
      const { transport } = new Watched(params('asks-roots'));
      for (const [index, each] of [(await pool.getServer('roots')).transport, transport].entries()) {
        const client = make(`file:///${index}`);
        await client.connect(each);
        await knows(client, `file:///${index}`);
        await client.close();
      }
    });
  }

  it('[EARLY-1] is refused at once by a shared server, which has no roots', async () => {
    const pool = open({ roots: { ...definition, sharing: 'shared' } });
    const client = (clients.v1 as (uri: string) => RootsClient)('file:///one');
    await client.connect((await pool.getServer('roots')).transport);
    await until('it was refused', async () => ((await call(client, 'outcomes')) as string[]).length === 1);
    expect(await call(client, 'roots')).toEqual([]);
    await client.close();
  });
});
