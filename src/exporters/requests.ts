import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { MCPServerPool, RequestEndMessage, RequestStartMessage } from '../index.js';

export interface RequestCallbacks {
  /** Left out by what needs no begin. */
  onStart?(message: RequestStartMessage): void;
  onEnd(message: RequestEndMessage): void;
  /** A callback has thrown. Without this it would be an uncaught exception of the host. */
  onFault(fault: unknown): void;
}

const START = 'mcp-server-pool:request:start';
const END = 'mcp-server-pool:request:end';

/**
 * Calls back for each request of the clients of a pool. By the channels that any host can use, since the pool may be one of
 * another copy of this package.
 * @returns a function that ends this
 */
export function watchRequests(pool: MCPServerPool, callbacks: RequestCallbacks): () => void {
  const guarded = <M extends { readonly pool: object }>(call: (message: M) => void) => {
    return (message: unknown) => {
      if ((message as M).pool !== pool) return;
      try {
        call(message as M);
      } catch (fault) {
        callbacks.onFault(fault);
      }
    };
  };
  const listeners = new Map<string, (message: unknown) => void>();
  listeners.set(
    END,
    guarded((message: RequestEndMessage) => callbacks.onEnd(message)),
  );
  if (callbacks.onStart) {
    listeners.set(
      START,
      guarded((message: RequestStartMessage) => callbacks.onStart?.(message)),
    );
  }
  for (const [name, listener] of listeners) subscribe(name, listener);
  return () => {
    for (const [name, listener] of listeners) unsubscribe(name, listener);
  };
}
