import { PoolError, type PoolErrorData } from '../errors.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { OpenGroup } from './server-group.js';
import type { Waiter } from './wait-queue.js';
import { reuseKey } from './whose.js';

export function unknownServer(name: string | undefined, known: readonly string[], why: string): PoolError {
  const listed = known.length === 0 ? 'none is defined; call addServer()' : `defined are: ${known.join(', ')}`;
  return new PoolError(
    'UNKNOWN_SERVER',
    `${name === undefined ? 'the server' : `server '${name}'`} ${why}; ${listed}`,
    { name },
  );
}

export function poolClosed(): PoolError {
  return new PoolError('POOL_CLOSED', 'the pool was shut down; make a new MCPServerPool to go on');
}

export function queueFull(name: string, maxWaiting: number): PoolError {
  return new PoolError(
    'QUEUE_FULL',
    `getServer('${name}') was refused: ${maxWaiting} callers wait already (maxWaiting); release servers sooner, raise the limits, or try again later`,
    { name },
  );
}

export function aborted({ name }: Pick<Waiter, 'name'>, after: number, why: string, cause?: unknown): PoolError {
  return new PoolError(
    'ACQUIRE_ABORTED',
    `getServer('${name}') was given up after ${after} ms: ${why}`,
    { name, after },
    cause,
  );
}

export function undeclared({ name, definition }: ServerInstance, capabilities: readonly string[]): string {
  const what = capabilities.join(', ');
  return definition.sharing === 'shared'
    ? `a client of server '${name}' declares ${what}; a shared server never asks its clients for anything: use sharing 'exclusive' or 'dedicated' (docs/sharing.md)`
    : `a client of server '${name}' declares ${what}, which the server was not told of; declare it in clientCapabilities of its definition`;
}

/** Says what the caller waited for, and what would have helped. */
export function acquireTimeout(
  waiter: Waiter,
  group: OpenGroup,
  starting: PoolErrorData | undefined,
  after: number,
): PoolError {
  const { name, maxInstances, sharing } = group.definition;
  const data = { ...starting, name, after, phase: starting ? ('start' as const) : ('queue' as const) };
  const message = `getServer('${name}') got no server within ${after} ms: ${why()}`;
  return new PoolError('ACQUIRE_TIMEOUT', message, data, failureFor(waiter, group));

  function why(): string {
    if (starting) return 'its server was still starting; raise timeout (acquireTimeout), or warm() it before';
    if (waiter.blockedBy === 'maxInstances') {
      return sharing === 'shared'
        ? `all ${maxInstances} instances (maxInstances) have maxSessions leases, or are those of other tenants; release servers sooner, or raise one of them`
        : `all ${maxInstances} instances (maxInstances) are in use, and the server is not shared: sharing is '${sharing}', so each serves one lease at a time; release servers sooner, raise maxInstances, or declare sharing: 'shared' if it keeps nothing of its clients (docs/sharing.md)`;
    }
    if (waiter.blockedBy === 'maxProcesses') {
      return 'all process slots (limits.maxProcesses) are in use; release servers sooner, or raise it';
    }
    return 'the slot that it waited for did not come free in time';
  }
}

/** A start that failed for this caller while it waited. Those of other tenants are none of its business. */
function failureFor(waiter: Waiter, { definition, lastFailure }: OpenGroup): PoolError | undefined {
  if (lastFailure === undefined || lastFailure.at < waiter.since) return undefined;
  return lastFailure.key === reuseKey(definition, waiter) ? lastFailure.error : undefined;
}
