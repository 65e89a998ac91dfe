import type { Answer } from '../protocol/json-rpc.js';

/** A server that the pool can ask. */
export interface Asked {
  readonly id: string;
  readonly name: string;
  ask(method: string, params?: unknown): Promise<Answer>;
}

/** Asks it for a check of the host, which gets the result, or the error of the server. */
export function requestOf(server: Asked): (method: string, params?: unknown) => Promise<unknown> {
  return async (method, params) => {
    const { result, error } = await server.ask(method, params);
    if (error === undefined) return result;
    throw Object.assign(new Error(`${method} was answered with error ${error.code}: ${error.message}`), {
      code: error.code,
    });
  };
}
