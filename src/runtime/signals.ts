import { constants } from 'node:os';
import { PoolError } from '../errors.js';

/** The signals by which terminals, service managers and containers ask a host to end. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A pool, which is ended before its host. */
interface Endable {
  shutdown(options: { mode: 'graceful' | 'emergency' }): Promise<unknown>;
}

const pools = new Set<Endable>();
let ending = false;

/**
 * Shuts `pool` down when a signal asks the host to end: gracefully at the first signal, as an emergency at the second. When
 * all pools have ended, the signal is sent again, so that the host ends as it would without this library. If the host has a
 * listener of its own, it decides, and the signal is not sent again. One set of listeners serves all pools.
 */
export function handleSignals(pool: Endable): void {
  if (pools.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  pools.add(pool);
}

/**
 * To be called before a pool makes anything that would have to be undone.
 * @throws PoolError `NOT_SUPPORTED` in a worker thread, where Node never calls a listener of a signal
 */
export function assertSignalsArrive(): void {
  // Loaded only with `handleSignals`: when this module is loaded, Node puts a wrapper around process.chdir.
  if (process.getBuiltinModule('node:worker_threads').isMainThread) return;
  throw new PoolError(
    'NOT_SUPPORTED',
    'handleSignals: true works only in the main thread, since no signal reaches a worker thread; listen in the main thread, and let the worker call pool.shutdown() before it is ended',
  );
}

/** To be called when the pool has been shut down. */
export function ignoreSignals(pool: Endable): void {
  // While the host is about to end, a second signal must still turn the shutdowns into emergencies.
  if (!pools.delete(pool) || ending || pools.size > 0) return;
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  const mode = ending ? 'emergency' : 'graceful';
  const shutdowns = [...pools].map((pool) => pool.shutdown({ mode }));
  if (ending) return;
  ending = true;
  void Promise.allSettled(shutdowns).then(() => raiseAgain(signal));
}

function raiseAgain(signal: NodeJS.Signals): void {
  ending = false;
  for (const each of SIGNALS) process.off(each, onSignal);
  // A pool may have been made meanwhile.
  if (pools.size > 0) for (const each of SIGNALS) process.on(each, onSignal);
  if (process.listenerCount(signal) > 0) return;
  // The kernel does not deliver to process 1 a signal without a listener. Shells report an end by a signal as 128 + number.
  if (process.pid === 1) process.exit(128 + constants.signals[signal]);
  process.kill(process.pid, signal);
}
