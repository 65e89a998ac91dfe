import type { JsonRpcMessage } from '../index.js';

/** The requests of a client that the server has not answered. */
export class OpenRequests {
  readonly #ids = new Set<unknown>();

  sent(message: JsonRpcMessage): void {
    readable(() => {
      const { id, method, params } = message;
      // The client knows no more of a request that it has given up.
      if (method === 'notifications/cancelled')
        this.#ids.delete((params as { requestId?: unknown } | undefined)?.requestId);
      else if (method !== undefined && id !== undefined) this.#ids.add(id);
    });
  }

  /** The message was not sent. */
  refused(message: JsonRpcMessage): void {
    readable(() => {
      if (message.method !== undefined) this.#ids.delete(message.id);
    });
  }

  received({ id, method }: JsonRpcMessage): void {
    if (method === undefined) this.#ids.delete(id);
  }

  /** An answer for each, with the error that the SDK gives when its connection is closed. */
  fail(): JsonRpcMessage[] {
    const ids = [...this.#ids];
    this.#ids.clear();
    const error = { code: -32_000, message: 'Connection closed' };
    return ids.map((id) => ({ jsonrpc: '2.0', id, error }) as JsonRpcMessage);
  }
}

/** What is no message, or cannot be read, is refused by the transport. */
function readable(read: () => void): void {
  try {
    read();
  } catch {
    // Nothing of it is kept.
  }
}
