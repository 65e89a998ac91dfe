import { messageOf, namesOf, PoolError, type ServerNames, shownName } from '../../errors.js';
import type { JsonRpcMessage } from '../json-rpc.js';
import type { Noise } from './noise.js';

/** Carries messages to one server and back. */
export interface MessageChannel {
  /** The server, as errors name it. */
  readonly server: ServerNames;
  /** Bytes that were sent, and that the server has not taken yet. */
  readonly backlog: number;
  /** What the server sent and was dropped. */
  readonly noise: Noise;
  /** Starts to receive. Until then, what the server sends waits. */
  open(callbacks: ChannelCallbacks): void;
  /**
   * Sends one message. Resolves when the operating system took it, so that a server that does not read slows its callers
   * down; rejects when the message cannot be written.
   */
  send(message: JsonRpcMessage): Promise<void>;
  /**
   * The same, but what is known at once is thrown at once, so that the caller does not have to keep the message.
   * @throws PoolError `BUFFER_FULL`, or the reason why the channel is closed; `INVALID_OPTIONS` if it cannot be written as JSON
   */
  queue(message: JsonRpcMessage): Promise<void>;
  /** Sends a message of the pool itself. These are small, and are not refused because callers have filled the buffer. */
  sendOwn(message: JsonRpcMessage): void;
  /** Writes now what was sent in this tick: needed before the ladder closes stdin. */
  flush(): void;
  /** From now on, what is sent is refused with `error`. */
  close(error: PoolError): void;
  /**
   * Ends the channel because of a fault of this library. For faults outside of the callbacks, which are guarded by the
   * channel itself.
   * @param cause what was thrown
   * @returns the `INTERNAL_ERROR` that `onClosed` was called with
   */
  fail(cause: unknown): PoolError;
}

/** What a channel calls when something happens on it. */
export interface ChannelCallbacks {
  onMessage(message: JsonRpcMessage): void;
  /** Something of what was read last was dropped. */
  onNoise?(): void;
  /** The server took something that was sent: `backlog` is smaller than before. */
  onWritten(): void;
  /**
   * The channel cannot be used any more, although the process may still run: for example, its stdin is closed. Called
   * once, and again for each `INTERNAL_ERROR`.
   */
  onClosed(error: PoolError): void;
}

/** The error for an exception that this library threw while it handled messages of a server. */
export function internalError(server: ServerNames, cause: unknown): PoolError {
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : messageOf(cause);
  const message = `server '${shownName(server)}' is ended because of a fault in mcp-server-pool, not in the server (${what}): please report it with the cause of this error`;
  return new PoolError('INTERNAL_ERROR', message, namesOf(server), cause);
}
