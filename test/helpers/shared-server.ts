import { PoolError } from '../../src/errors.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { attach, type MultiplexedOptions, multiplexed, request } from './wire.js';

export const crash = new PoolError('SERVER_EXITED', 'it crashed', { exitCode: null, signal: 'SIGKILL' });

/** A shared server with two sessions, and `join()` for more. */
export function shared(options: MultiplexedOptions = {}) {
  const all = multiplexed({ shared: true, ...options });
  const server = all.start();
  server.connect();
  const join = () => attach(all.mux);
  return { ...all, ...server, server, join, a: join(), b: join() };
}

/** Answers all requests, also those that are sent after an answer. Returns every message that the server got. */
export async function answerAll({
  sent,
  says,
}: Pick<ReturnType<ReturnType<typeof multiplexed>['start']>, 'sent' | 'says'>): Promise<JsonRpcMessage[]> {
  const all: JsonRpcMessage[] = [];
  for (let wire = await sent(); wire.length > 0; wire = await sent()) {
    all.push(...wire);
    for (const { id, method } of wire) if (id !== undefined && method !== undefined) await says(answer(id));
  }
  return all;
}

export const note = (method: string, params?: object): JsonRpcMessage => ({
  jsonrpc: '2.0',
  method: `notifications/${method}`,
  ...(params && { params }),
});
export const cancel = (requestId: unknown) => note('cancelled', { requestId, reason: 'enough' });
export const progress = (progressToken: unknown, done = 1) => note('progress', { progressToken, progress: done });
export const updated = (uri: string) => note('resources/updated', { uri });
export const log = (level: string) => note('message', { level, data: level });
export const answer = (id: RequestId | null | undefined, result: unknown = {}) => ({ jsonrpc: '2.0', id, result });
export const failure = (id: RequestId | null | undefined, code = -32_000) => ({
  ...{ jsonrpc: '2.0', id },
  error: { code, message: 'no' },
});
export const subscribe = (id: RequestId, uri = 'a') => request(id, 'resources/subscribe', { uri });
export const unsubscribe = (id: RequestId, uri = 'a') => request(id, 'resources/unsubscribe', { uri });
export const setLevel = (id: RequestId, level: string) => request(id, 'logging/setLevel', { level });
export const methods = (messages: JsonRpcMessage[]) => messages.map(({ method }) => method);
/** The names of requests that `named` has made. */
export const names = (messages: JsonRpcMessage[]) => messages.map(({ params }) => (params as { name?: string }).name);
export const named = (name: string, method = 'tools/call') => request(name, method, { name });
export const lost = (id: RequestId, data: object = {}) => ({
  ...{ jsonrpc: '2.0', id },
  error: {
    ...{ code: -32_000, message: 'it crashed' },
    data: {
      ...{ reason: 'SERVER_EXITED', retryable: true, mayHaveRun: true },
      ...{ exitCode: null, signal: 'SIGKILL', ...data },
    },
  },
});
