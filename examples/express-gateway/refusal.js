import { PoolError } from 'mcp-server-pool';

/** Codes of errors that pass: the client may try again. */
const BUSY = new Set([
  'ACQUIRE_TIMEOUT',
  'QUEUE_FULL',
  'OVERLOADED',
  'REQUIREMENTS_UNMET',
  'BREAKER_OPEN',
  'POOL_CLOSED',
]);
const RETRY_AFTER = '5';

/** What the gateway answers with this HTTP status in place of the server. */
export class Refusal extends Error {
  constructor(status, message, code = -32_000) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * A message of a server as users get it. Requests that were lost with it are answered by the pool, whose words are for operators:
 * they quote what the server has written to stderr. A user learns whether to try again.
 */
export function forUsers(message) {
  const { data } = message.error ?? {};
  if (typeof data?.mayHaveRun !== 'boolean') return message;
  const { stderrTail, ...rest } = data;
  return { ...message, error: { ...message.error, message: `the request was lost: ${rest.reason}`, data: rest } };
}

/** An error handler of Express: every error is a JSON-RPC error. */
export function answerError(error, request, response, _next) {
  // The client is gone, or its stream has begun: nobody can be told any more.
  if (response.destroyed || response.headersSent) return response.destroy();
  const refusal = asRefusal(error);
  if (refusal.status === 401) response.set('WWW-Authenticate', 'Bearer');
  if (refusal.status === 429 || refusal.status === 503) response.set('Retry-After', RETRY_AFTER);
  const id = request.body?.id ?? null;
  response.status(refusal.status).json({
    jsonrpc: '2.0',
    id,
    error: { code: refusal.code, message: refusal.message, ...(refusal.data && { data: refusal.data }) },
  });
}

function asRefusal(error) {
  if (error instanceof Refusal) return error;
  if (error instanceof PoolError) {
    // The message is for operators: it names options, paths and definitions. A user learns whether to try again.
    console.error(`${error.code}: ${error.message}`);
    const isBusy = BUSY.has(error.code);
    const words = isBusy ? 'no server is free now; try again later' : 'the server could not be started';
    return Object.assign(new Refusal(isBusy ? 503 : 502, words), { data: { code: error.code } });
  }
  // Of express.json(): it could not read the body.
  if (error.type === 'entity.too.large') return new Refusal(413, 'the body is too long');
  if (error.status >= 400 && error.status < 500) return new Refusal(400, 'Parse error: Invalid JSON', -32_700);
  console.error(error);
  return new Refusal(500, 'internal error', -32_603);
}
