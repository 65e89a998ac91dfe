import type { AcquireOptions, MCPServerPool, PooledServer } from '../../src/index.js';
import type { JsonRpcMessage } from '../../src/protocol/json-rpc.js';
import { RawClient } from './client.js';
import type { FakeServer } from './fake-launcher.js';
import { flush } from './until.js';

/** What a fake server answers after initialize: everything; only pings and lists, as one that works on a call; nothing. */
export const ANSWERS = {
  all: undefined,
  pings: ({ method }: JsonRpcMessage) => (method === 'tools/call' ? undefined : {}),
  nothing: () => undefined,
} as const;

/** A lease with a client. */
export async function connect(pool: MCPServerPool, name: string, options?: AcquireOptions) {
  const lease = await pool.getServer(name, options);
  return { lease, client: await RawClient.connect(lease.transport) };
}

/** Sends a tool call, and cancels it once the server has it. Returns the id that the server knows. */
export async function giveUp(client: RawClient, server: FakeServer, id: number | string = 'given up') {
  void client.request('tools/call', { name: 'slow' }, id);
  await flush();
  const sent = server.received.findLast(({ method }) => method === 'tools/call');
  await client.notify('notifications/cancelled', { requestId: id });
  await flush();
  return sent?.id as number;
}

/** Leases a server, gives up a call and releases. */
export async function leaveUnanswered(
  pool: MCPServerPool,
  name: string,
  serverOf: (lease: PooledServer) => FakeServer,
  options?: AcquireOptions,
) {
  const { lease, client } = await connect(pool, name, options);
  const id = await giveUp(client, serverOf(lease));
  lease.release();
  return { lease, id };
}

/** The pings that a server got. */
export const pings = ({ received }: FakeServer) => received.filter(({ method }) => method === 'ping');
