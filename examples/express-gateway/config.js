import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./demo-server.js', import.meta.url));
const demo = { command: process.execPath, args: [program] };

/** The servers that users can reach at `/mcp/NAME`, in the shape of an `mcpServers` configuration, without keys. */
export const servers = {
  // Keeps nothing of a client: one process serves all users of a tenant.
  search: { ...demo, sharing: 'shared' },
  // Keeps notes: a used process serves only the session that has used it.
  notes: { ...demo, sharing: 'exclusive' },
  // Asks its client (sampling): each session has a process of its own, and messages pass unchanged.
  assistant: { ...demo, sharing: 'dedicated' },
};

/**
 * Who may use them, and with which keys: server → variables of the environment. In a real gateway the keys come from a secret
 * store. They reach the server alone: no event, error, log or metric has them.
 */
export const tenants = {
  north: { users: ['ana', 'ben'], keys: { search: { SEARCH_KEY: 'key-of-the-north' } } },
  south: { users: ['cleo'], keys: { search: { SEARCH_KEY: 'key-of-the-south' } } },
};

/** What one user may take, and what one session may keep. */
export const limits = {
  /** Sessions of one user at once. */
  sessionsPerUser: 4,
  /** Requests of one user at once that are not answered. */
  requestsPerUser: 16,
  /** A session without a connection ends after this time, in ms. */
  sessionIdleTimeout: 300_000,
  /** The longest body of a request, in MB. */
  bodyMB: 4,
  /** Messages of a session that its server has not read. Further ones are refused. */
  unreadMessages: 16,
  /** What one session sends to a client that does not read it, in MB. Then its connection is cut off. */
  unreadMB: 8,
  /** What a session keeps for clients that come back to a stream. */
  storedEvents: 1_000,
  storedMB: 4,
};

/** One definition of each server for all tenants, which differ in their keys: for the option `servers` of the pool. */
export function definitionsOf({ servers, tenants }) {
  const all = Object.entries(servers).map(([server, definition]) => [
    server,
    { ...definition, perTenant: (tenant) => ({ env: tenants[tenant]?.keys?.[server] }) },
  ]);
  return Object.fromEntries(all);
}
