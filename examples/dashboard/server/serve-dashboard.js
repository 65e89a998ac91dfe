import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Feed } from './feed.js';
import { readFiles } from './files.js';
import { Guard } from './guard.js';
import { Routes } from './routes.js';

/** Sent with each answer to a request that was admitted. Scripts and styles come from this server only, and none is inline. */
const HEADERS = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // The path has the token.
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/**
 * Serves a page that shows a pool, live, and acts on it. Whoever has its address can do what the page can.
 * @param pool an `MCPServerPool`
 * @param options `port` (default: any that is free), `host` (default: 127.0.0.1, so that only this machine reaches it), `token`
 *   (default: a random one), `allowedHosts`: names by which browsers reach it through a proxy, as in the header `Host` (default:
 *   none; those of the loopback interface always are)
 * @returns `{ url, close() }`; `close()` ends the page, not the pool
 * @throws Error when the port is taken, the token is too short, or uPlot is not installed
 */
export async function serveDashboard(
  pool,
  { port = 0, host = '127.0.0.1', token = newToken(), allowedHosts = [] } = {},
) {
  const files = readFiles();
  // Without the header, too, it is the guard that refuses.
  const server = createServer({ requireHostHeader: false });
  server.listen(port, host);
  await once(server, 'listening');
  const { address, family, port: bound } = server.address();
  const guard = makeGuard(server, { token, port: bound, allowedHosts });
  const feed = new Feed(pool);
  const routes = new Routes({ feed, files });
  const handle = (request, response) => {
    const path = guard.admit(request);
    if (path === undefined) return refuse(response);
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    routes.handle(path, request, response).catch(() => response.destroy());
  };
  server.on('request', handle);
  // Without this, Node asks for the body before the request was looked at.
  server.on('checkContinue', (_request, response) => refuse(response));
  // And answers other expectations with 417.
  server.on('checkExpectation', (_request, response) => refuse(response));
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}/${token}/`,
    async close() {
      feed.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function makeGuard(server, options) {
  try {
    return new Guard(options);
  } catch (error) {
    server.close();
    throw error;
  }
}

/** Nothing, and the same for whatever was wrong. */
function refuse(response) {
  response.writeHead(403, { connection: 'close', 'content-length': 0 }).end();
}

/** 256 bits. */
function newToken() {
  return randomBytes(32).toString('base64url');
}
