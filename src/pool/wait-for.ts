import { PoolError } from '../errors.js';
import type { SafeEmitter } from '../events.js';
import type { Clock } from '../runtime/clock.js';
import { checkEventName } from './event-names.js';
import type { PoolEvents } from './events.js';
import { poolClosed } from './refusals.js';

interface Waiting<P> {
  readonly filter: ((payload: P) => boolean) | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The payload of the first event that the filter accepts. Rejects when the pool is closed before, since none comes then.
 * @throws PoolError `INVALID_OPTIONS` when the pool has no such event
 */
export function waitFor<K extends keyof PoolEvents>(
  pool: SafeEmitter<PoolEvents>,
  event: K,
  { filter, timeout, signal }: Waiting<PoolEvents[K]>,
  { clock, isClosed }: { readonly clock: Clock; readonly isClosed: boolean },
): Promise<PoolEvents[K]> {
  checkEventName(event);
  if (isClosed) return Promise.reject(poolClosed());
  if (signal?.aborted) return Promise.reject(waitAborted(event, signal.reason));
  return new Promise((resolve, reject) => {
    const onEvent = (payload: PoolEvents[K]) => {
      try {
        if (filter && !filter(payload)) return;
      } catch (error) {
        return settle(() => reject(error));
      }
      settle(() => resolve(payload));
    };
    const onClosed = () => settle(() => reject(poolClosed()));
    const onAbort = () => settle(() => reject(waitAborted(event, signal?.reason)));
    const timer =
      timeout < Infinity ? clock.after(timeout, () => settle(() => reject(late(event, timeout)))) : undefined;
    const settle = (answer: () => void) => {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
      pool.off(event, onEvent as never);
      pool.off('pool:closed', onClosed);
      answer();
    };
    pool.on(event, onEvent as never);
    if (event !== 'pool:closed') pool.on('pool:closed', onClosed);
    signal?.addEventListener('abort', onAbort);
  });
}

function waitAborted(event: string, reason: unknown): PoolError {
  return new PoolError('WAIT_ABORTED', `waitFor('${event}') was given up: its signal was aborted`, {}, reason);
}

function late(event: string, after: number): PoolError {
  const message = `waitFor('${event}') saw no such event within ${after} ms; raise timeout, or check its filter`;
  return new PoolError('WAIT_TIMEOUT', message, { after });
}
