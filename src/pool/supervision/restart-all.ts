import type { PoolError } from '../../errors.js';
import type { Clock } from '../../runtime/clock.js';
import type { Fleet } from '../instances/fleet.js';
import { isOpen, type OpenEntry } from '../instances/server-entry.js';
import { poolClosed } from '../refusals.js';
import type { RollingReplacement } from './rolling-replacement.js';

export interface RestartAllDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly replacement: RollingReplacement;
  readonly servers: { restart(name: string, timeout: number): Promise<void> };
}

/** What became of one server in `restartAll()`. */
export interface RestartedServer {
  readonly name: string;
  /** Undefined when its definition has none. */
  readonly label: string | undefined;
  /** Whether all its processes were replaced or have ended; true, too, when it had none. */
  readonly ok: boolean;
  /** Why not: what `restart()` rejects with. */
  readonly error: PoolError | undefined;
  /** How long it took, in milliseconds. */
  readonly duration: number;
}

/** Result of `restartAll()`. */
export interface RestartReport {
  /** Whether every server was restarted. */
  readonly ok: boolean;
  /** How long it took, in milliseconds. */
  readonly duration: number;
  /** One for each server, in the order in which they were defined. */
  readonly servers: readonly RestartedServer[];
}

/**
 * Restarts all servers, a few at a time. An error of one does not keep the others from being restarted.
 * @throws PoolError `POOL_CLOSED`
 */
export async function restartAll(
  deps: RestartAllDeps,
  { timeout, concurrency }: { readonly timeout: number; readonly concurrency: number },
): Promise<RestartReport> {
  const { clock, fleet } = deps;
  if (!fleet.isOpen) throw poolClosed();
  const begin = clock.now();
  const left = [...fleet.entries.values()].filter(isOpen);
  const restarts: Promise<RestartedServer>[] = [];
  const takeTurns = async () => {
    for (let entry = left.shift(); entry !== undefined; entry = left.shift()) {
      const restart = restartOne(deps, entry, timeout);
      restarts.push(restart);
      await Promise.race([restart, onlyWaits(deps, entry)]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, left.length) }, takeTurns));
  const servers = await Promise.all(restarts);
  return { ok: servers.every(({ ok }) => ok), duration: Math.round(clock.now() - begin), servers };
}

/** Never rejects. */
async function restartOne(
  { clock, servers }: RestartAllDeps,
  { name, label }: OpenEntry,
  timeout: number,
): Promise<RestartedServer> {
  const begin = clock.now();
  const outcome = (error?: PoolError): RestartedServer => {
    return { name, label, ok: error === undefined, error, duration: Math.round(clock.now() - begin) };
  };
  try {
    await servers.restart(name, timeout);
    return outcome();
  } catch (error) {
    return outcome(error as PoolError);
  }
}

/**
 * Resolves when nothing is left to be done for a server that is being restarted but to wait for leases: these may be held for
 * hours, and the servers after it need not wait for them.
 */
async function onlyWaits({ replacement }: RestartAllDeps, { instances }: OpenEntry): Promise<void> {
  const old = [...instances].filter(({ retired }) => retired !== undefined);
  const others = old.filter((instance) => instance.leases === 0 || replacement.canMove(instance));
  // Without such leases, the restart itself says when it is done.
  if (others.length === old.length) return new Promise(() => {});
  await Promise.all(others.map(({ ended }) => ended));
}
