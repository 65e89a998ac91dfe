import { PoolError } from '../../errors.js';
import type { HealthMonitor } from '../../health/health-monitor.js';
import type { Clock } from '../../runtime/clock.js';

export interface Prover {
  readonly clock: Clock;
  readonly health: Pick<HealthMonitor, 'checkNow'>;
}

/** Time between two checks of a server that others wait for until it is healthy, ms. */
const PAUSE = 1_000;

/**
 * Resolves when a check has shown that an instance works. One that fails says nothing for ever: the machine may be busy.
 * @param idOf its id now; undefined while there is none
 */
export async function provenHealthy(
  idOf: () => string | undefined,
  signal: AbortSignal,
  { clock, health }: Prover,
): Promise<void> {
  while (!signal.aborted) {
    const id = idOf();
    const report = id === undefined ? undefined : await health.checkNow(id);
    if (report?.status === 'healthy' || report?.status === 'busy') return;
    await new Promise<void>((resolve) => {
      const timer = clock.after(PAUSE, resolve);
      const stop = () => {
        timer.cancel();
        resolve();
      };
      signal.addEventListener('abort', stop, { once: true });
    });
  }
  throw new PoolError('SEQUENCE_ABORTED', 'its health is not waited for any more');
}
