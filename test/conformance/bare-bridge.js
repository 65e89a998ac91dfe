// The baseline: Streamable HTTP in front of a stdio server without a pool. Each session starts a process by the SDK's own
// transport and ends it with the session; messages pass unchanged.
import { randomUUID } from 'node:crypto';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { localhostHostValidation } from '@modelcontextprotocol/sdk/server/middleware/hostHeaderValidation.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import express from 'express';

/** Clients of the suite leave their sessions open: the oldest one ends when there are more than this. */
const MAX_SESSIONS = 8;

/** Returns the app, and what ends all sessions. */
export function bareBridge(command, args) {
  /** Session id → both ends of it, in the order of their start. */
  const sessions = new Map();
  const app = express();
  app.use(localhostHostValidation(), express.json());
  app.all('/mcp', async (request, response) => {
    const id = request.headers['mcp-session-id'];
    if (id === undefined && isInitializeRequest(request.body))
      return (await open()).handleRequest(request, response, request.body);
    const http = sessions.get(id)?.http;
    if (http) return http.handleRequest(request, response, request.body);
    response
      .status(id === undefined ? 400 : 404)
      .json({ jsonrpc: '2.0', id: null, error: { code: -32_001, message: 'no session' } });
  });
  return {
    app,
    async close() {
      await Promise.all([...sessions.values()].map(end));
    },
  };

  async function open() {
    if (sessions.size >= MAX_SESSIONS) void end(sessions.values().next().value);
    const id = randomUUID();
    const http = new StreamableHTTPServerTransport({ sessionIdGenerator: () => id });
    const stdio = new StdioClientTransport({ command, args });
    const session = { id, http, stdio };
    sessions.set(id, session);
    /** The newest request that is not answered: what the server sends meanwhile belongs to it, as far as one can know. */
    let newest;
    http.onmessage = (message) => {
      if (message.method !== undefined && message.id !== undefined) newest = message.id;
      stdio.send(message);
    };
    stdio.onmessage = (message) => {
      const isAnswer = message.method === undefined;
      http.send(message, isAnswer ? {} : { relatedRequestId: newest }).catch(() => {});
      if (isAnswer && message.id === newest) newest = undefined;
    };
    http.onclose = stdio.onclose = () => void end(session);
    await stdio.start();
    return http;
  }

  async function end({ id, http, stdio }) {
    if (sessions.delete(id)) await Promise.all([http.close(), stdio.close()]);
  }
}
