import { constants } from 'node:os';
import { PoolError } from '../errors.js';

/** Signals that ask a host to end, as a terminal, a service manager or a container does. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What is ended before its host. */
interface Endable {
  shutdown(options: { mode: 'graceful' | 'emergency' }): Promise<unknown>;
}

const pools = new Set<Endable>();
let ending = false;

/**
 * Shuts `pool` down when the host is told to end: gracefully at the first signal, as an emergency at the second. When all
 * pools have ended, the signal is raised again, so that the host ends as it would have without us; a host that listens to
 * it itself heard it already, and decides. One set of listeners serves all pools.
 */
export function handleSignals(pool: Endable): void {
  if (pools.size === 0) for (const signal of SIGNALS) process.on(signal, onSignal);
  pools.add(pool);
}

/**
 * To be asked before anything is made that would have to be undone.
 * @throws PoolError `NOT_SUPPORTED` in a worker thread: Node takes a listener there, and never calls it
 */
export function assertSignalsArrive(): void {
  // Loaded by those alone who ask for signals: with this module Node puts a wrapper around process.chdir.
  if (process.getBuiltinModule('node:worker_threads').isMainThread) return;
  throw new PoolError(
    'NOT_SUPPORTED',
    'handleSignals: true works in the main thread alone, as no signal reaches a worker thread; listen in the main thread, and have the worker call pool.shutdown() before it is ended',
  );
}

/** The pool has been shut down. */
export function ignoreSignals(pool: Endable): void {
  // While the host is about to end, a further signal must still find us.
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
  // A pool that was made meanwhile.
  if (pools.size > 0) for (const each of SIGNALS) process.on(each, onSignal);
  if (process.listenerCount(signal) > 0) return;
  // The kernel keeps from process 1 what it does not listen to; a shell reports such an end by the same number.
  if (process.pid === 1) process.exit(128 + constants.signals[signal]);
  process.kill(process.pid, signal);
}
