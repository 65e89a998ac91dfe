// @ts-check
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { remoteTransport } from './remote.js';

/**
 * As MetaMCP's `client.ts` has it.
 * @typedef {object} ConnectedClient
 * @property {Client} client
 * @property {() => Promise<void>} cleanup
 */

/**
 * Connects a client, over the lease of a stdio server or to a server of HTTP or SSE.
 * @param {import('mcp-server-pool').PooledServer | import('./definition.js').ServerParameters} server
 * @param {AbortSignal} signal of its session
 * @param {() => void} closed called when the connection has ended, for whatever reason
 * @returns {Promise<ConnectedClient>}
 */
export async function connect(server, signal, closed) {
  const client = new Client({ name: 'metamcp-client', version: '2.0.0' });
  client.onclose = closed;
  const stopped = new AbortController();
  try {
    signal.throwIfAborted();
    const transport = 'transport' in server ? server.transport : remoteTransport(server);
    // The client heeds the signal from its first request on: before, it may wait for ever for a server of SSE that says nothing.
    await Promise.race([client.connect(transport, { signal }), aborted(signal, stopped.signal)]);
    // The session may have ended while the last answer was under way.
    signal.throwIfAborted();
  } catch (error) {
    await client.close();
    // A lease that has never been connected is not released by its client.
    if ('release' in server) server.release();
    throw error;
  } finally {
    stopped.abort();
  }
  // Closing it ends its transport, and so the lease.
  return { client, cleanup: () => client.close() };
}

/**
 * Rejects when the session ends, until it is stopped.
 * @param {AbortSignal} session
 * @param {AbortSignal} stopped
 * @returns {Promise<never>}
 */
function aborted(session, stopped) {
  return new Promise((_resolve, reject) => {
    session.addEventListener('abort', () => reject(session.reason), { signal: stopped });
  });
}
