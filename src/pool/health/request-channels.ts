import { channel } from 'node:diagnostics_channel';
import type { ObservedRequest, RequestOutcome } from '../../protocol/request-observer.js';
import type { PoolRequestObserver, ServerOfRequest } from './request-watch.js';

const START = channel('mcp-server-pool:request:start');
const END = channel('mcp-server-pool:request:end');

/** What subscribers of `mcp-server-pool:request:start` get, in the turn in which the client sends the request. */
export interface RequestStartMessage {
  /** The `MCPServerPool`; maybe that of another copy of this package. */
  readonly pool: object;
  /** The same object in the message of its end. */
  readonly request: ObservedRequest;
  readonly server: ServerOfRequest;
}

/** What subscribers of `mcp-server-pool:request:end` get. */
export interface RequestEndMessage extends RequestStartMessage {
  readonly outcome: RequestOutcome;
  /** Since the client sent it, ms. */
  readonly duration: number;
  /** Of the JSON-RPC error that the client got; undefined when it got none. */
  readonly errorCode: number | undefined;
}

/** Publishes the requests of a pool on channels of `node:diagnostics_channel`, while anything subscribes to one. */
export function publishRequests(pool: object): PoolRequestObserver {
  return {
    get isActive() {
      return START.hasSubscribers || END.hasSubscribers;
    },
    requestSent: (request, server) => {
      if (START.hasSubscribers) START.publish({ pool, request, server } satisfies RequestStartMessage);
    },
    requestDone: (request, server, outcome, duration, errorCode) => {
      if (END.hasSubscribers)
        END.publish({ pool, request, server, outcome, duration, errorCode } satisfies RequestEndMessage);
    },
  };
}
