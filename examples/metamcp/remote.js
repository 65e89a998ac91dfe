// @ts-check
// Servers of HTTP and SSE have no process here: they stay beside the pool.
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

/** @param {import('./definition.js').ServerParameters} params */
export function remoteTransport({ name, type, url, headers: own, oauth_tokens, bearerToken }) {
  if (!url) throw new Error(`server ${name} has no url`);
  const token = oauth_tokens?.access_token || bearerToken;
  const headers = { ...own, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  if (type === 'STREAMABLE_HTTP') return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  return new SSEClientTransport(new URL(url), {
    requestInit: { headers },
    // Without this only the messages would have the headers, not the stream.
    eventSourceInit: {
      fetch: (address, init) => fetch(address, { ...init, headers: { ...init?.headers, ...headers } }),
    },
  });
}
