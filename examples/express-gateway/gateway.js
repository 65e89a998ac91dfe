import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import express from 'express';
import { Gauge } from 'prom-client';
import { knownUser, loopbackOnly } from './access.js';
import { answerError, Refusal } from './refusal.js';
import { Sessions } from './sessions.js';

/**
 * The gateway as an Express app, without the socket it listens on.
 * - `servers`: the names that users can reach, `users` and `operators`: who may use them, and who may see how they are
 * - `register`: the registry of prom-client that `/metrics` prints
 */
export function createGateway({ pool, servers, users, operators, register, limits }) {
  const sessions = new Sessions({ pool, limits });
  let isDraining = false;
  new Gauge({
    name: 'gateway_sessions',
    help: 'Sessions of clients.',
    registers: [register],
    collect() {
      this.set(sessions.size);
    },
  });

  const app = express().disable('x-powered-by').disable('etag');
  app.use(loopbackOnly);

  // For probes: answers from what is known and asks no server.
  app.get('/health', (request, response) => {
    const { status, checks } = pool.health.verdict({ probe: 'readiness' });
    const isDown = isDraining || status === 'down';
    const details = operators.find(request.headers.authorization) && { checks, sessions: sessions.size };
    response.status(isDown ? 503 : 200).json({ status: isDown ? 'down' : status, ...details });
  });

  app.get('/metrics', knownUser(operators), async (_request, response) => {
    response.set('Content-Type', register.contentType).send(await register.metrics());
  });

  const body = express.json({ limit: limits.bodyMB * 1_048_576 });
  app.all('/mcp/:server', knownUser(users), body, async (request, response) => {
    const { user } = response.locals;
    const { server } = request.params;
    if (!servers.includes(server)) throw new Refusal(404, 'there is no such server');
    const asked = [request.body ?? []].flat().filter(isRequest);
    // While it drains, answers of clients pass: a call that is to be finished may need them.
    if (isDraining && asked.length > 0) throw new Refusal(503, 'the gateway is shut down');
    sessions.checkRequests(user, asked.length);
    const session = await sessionOf(request, response, { user, server });
    await session.handle(
      request,
      response,
      asked.map(({ id }) => id),
    );
  });
  app.use(() => {
    throw new Refusal(404, 'there is nothing at this address');
  });
  app.use(answerError);

  /** The session that a request names; a new one for `initialize`. */
  async function sessionOf(request, response, { user, server }) {
    const id = request.headers['mcp-session-id'];
    if (id === undefined) {
      if (!isInitializeRequest(request.body) || !isRequest(request.body))
        throw new Refusal(400, 'Mcp-Session-Id header is required');
      const gone = new AbortController();
      response.once('close', () => gone.abort());
      const session = await sessions.open({ user, server, signal: gone.signal });
      // Nobody has learned its id.
      if (gone.signal.aborted) void session.end();
      return session;
    }
    const session = sessions.find(id, { user, server });
    // By this a client learns that it has to begin a new session.
    if (!session) throw new Refusal(404, 'Session not found', -32_001);
    return session;
  }

  /**
   * Refuses what is new, lets the requests finish that servers work on, and ends sessions and servers. Resolves with the report
   * of the pool. A second call with `mode: 'emergency'` ends all at once.
   */
  async function close(options) {
    isDraining = true;
    const report = await pool.shutdown(options);
    await sessions.close();
    return report;
  }

  return { app, close, sessions };
}

function isRequest(message) {
  return message?.method !== undefined && message.id !== undefined;
}
