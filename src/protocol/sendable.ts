import { describeValue } from '../config/fields.js';
import { PoolError } from '../errors.js';
import { isMessage, type JsonRpcMessage } from './json-rpc.js';

const WHAT = 'the message given to send()';

/**
 * What a client gave to `send()`, if it is a message. Anything else would pass the routing unseen: a batch, for example, with
 * the ids of the client.
 * @returns the message as it is written: an object with a `toJSON()` may be written with another id than it shows
 * @throws PoolError `INVALID_OPTIONS`; or what reading it throws
 */
export function sendable(given: unknown): JsonRpcMessage {
  const isOther =
    typeof given === 'object' && given !== null && 'toJSON' in given && typeof given.toJSON === 'function';
  const message: unknown = isOther ? JSON.parse(JSON.stringify(given)) : given;
  if (isMessage(message)) return message;
  const how = Array.isArray(message) ? '; send the messages of a batch one by one' : '';
  const problem = `${WHAT} must be a JSON-RPC message (jsonrpc: '2.0' and a method, or an id with a result or an error), got ${describeValue(message)}${how}`;
  throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** The error for what was thrown while a message was read or written. */
export function refused(thrown: unknown): PoolError {
  if (thrown instanceof PoolError) return thrown;
  const problem = `${WHAT} cannot be written as JSON: a circle, a BigInt, or a getter that throws`;
  return new PoolError('INVALID_OPTIONS', problem, { problems: [problem] }, thrown);
}

/** @throws PoolError `INVALID_OPTIONS` when a part of it cannot be written */
export function lineOf(message: JsonRpcMessage): string {
  try {
    return JSON.stringify(message);
  } catch (error) {
    throw refused(error);
  }
}
