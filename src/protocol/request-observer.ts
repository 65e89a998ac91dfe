import type { PoolError, PoolErrorCode, ServerNames } from '../errors.js';
import { type JsonRpcMessage, property } from './json-rpc.js';

/** A request of a client that waits for its answer. */
export interface ObservedRequest {
  readonly method: string;
  /** Of `tools/call`: the name of the tool. */
  readonly tool: string | undefined;
  /** Clock time at which its client sent it, ms. */
  readonly since: number;
  /** `_meta` of its parameters. Only while `requestSent` runs, since it is not kept. */
  readonly meta: unknown;
}

/**
 * How a request ended. `tool-error`: a result with `isError`. `error`: an error of the server. `lost`: with its server, or the
 * pool could not send it. `cancelled`: its client gave it up, or the host has ended its lease, its server or the pool. `timeout`:
 * the server did not answer within `requestTimeout`.
 */
export type RequestOutcome = 'ok' | 'tool-error' | 'error' | 'lost' | 'cancelled' | 'timeout';

/** A server, as an observer of its requests sees it: an instance, or, before there is one, its names. */
export interface ObservedServer extends ServerNames {
  readonly id?: string;
  readonly tenant?: string | undefined;
}

/** Learns of the requests of clients, as they begin and end. Must not throw. */
export interface RequestObserver {
  /** Whether anything listens. While it is false nothing is called, and nothing needs to be known of a request. */
  readonly isActive: boolean;
  /** Whether anything listens to `requestSent`. While it is false that is not called. */
  readonly hearsStarts: boolean;
  requestSent(request: ObservedRequest, server: ObservedServer): void;
  /** Its server has answered. */
  requestAnswered(request: ObservedRequest, server: ObservedServer, answer: JsonRpcMessage): void;
  /**
   * It has ended without an answer of its server.
   * @param error code of the error that its client got in place of that; undefined when it got none
   */
  requestEnded(
    request: ObservedRequest,
    server: ObservedServer,
    outcome: RequestOutcome,
    error: number | undefined,
  ): void;
}

/** The tool that a request calls. */
export function toolOf(method: string, params: unknown): string | undefined {
  const name = method === 'tools/call' ? property(params, 'name') : undefined;
  return typeof name === 'string' ? name : undefined;
}

/**
 * What a request gets that is open when the host ends its lease, its server or the pool. `LEASE_RECLAIMED`: the host's timeout of
 * a restart or removal is over; a lease is not taken back for its silence while a request is open.
 */
const ENDED_BY_HOST = new Set<PoolErrorCode>(['LEASE_RECLAIMED', 'LEASE_RELEASED', 'POOL_CLOSED', 'SERVER_STOPPED']);

/** How a request ended that gets this error in place of an answer. */
export function outcomeOfLoss({ code }: PoolError): RequestOutcome {
  return ENDED_BY_HOST.has(code) ? 'cancelled' : 'lost';
}

/** How a request ended that the server has answered so. */
export function outcomeOf({ result, error }: JsonRpcMessage): RequestOutcome {
  if (error !== undefined) return 'error';
  return property(result, 'isError') === true ? 'tool-error' : 'ok';
}
