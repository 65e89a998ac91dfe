import { expect, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import {
  type AcquireOptions,
  type HeadroomReader,
  MCPServerPool,
  type PoolEvents,
  type PooledServer,
  type PoolOptions,
} from '../../src/index.js';
import { RawClient } from './client.js';
import { ManualClock } from './clock.js';
import { type Automatic, FakeLauncher } from './fake-launcher.js';
import { flush, rejection } from './until.js';

/** For tests of other things. */
export const UNCHECKED = { check: false, stuckAfter: Infinity } as const;

type EmittedEvent = { [K in keyof PoolEvents]: { event: K; payload: PoolEvents[K] } }[keyof PoolEvents];

/**
 * A pool of fake servers with a clock that the test advances; shut down when the test is over. Their health is checked only where
 * the test asks for it: it would send pings.
 */
export function setUp(options: PoolOptions, auto: Partial<Automatic> = {}, headroom?: HeadroomReader) {
  const clock = new ManualClock();
  const launcher = new FakeLauncher(auto);
  const pool = new MCPServerPool(
    // One definition alone has no defaults.
    'command' in options ? options : { ...options, defaults: options.defaults ?? { health: UNCHECKED } },
    { clock, launcher, overload: () => undefined, headroom },
  );
  const emitted: EmittedEvent[] = [];
  const record = <K extends keyof PoolEvents>(event: K) =>
    pool.on(event, ((payload: PoolEvents[K]) => emitted.push({ event, payload } as EmittedEvent)) as never);
  for (const event of [
    'server:stopping',
    'server:exited',
    'server:failed',
    'server:quarantined',
    'lease:reclaimed',
    'lease:leaked',
    'limit:reached',
    'queue:waiting',
    'queue:served',
    'queue:rejected',
    'server:draining',
    'server:restarting',
    'server:restarted',
    'lease:moved',
    'breaker:opened',
    'breaker:half-opened',
    'breaker:closed',
    'tools:changed',
    'capability:undeclared',
    'server:noise',
    'health:changed',
    'stuck:detected',
  ] as const) {
    record(event);
  }
  onTestFinished(async () => {
    launcher.auto = { spawn: true, initialize: true, answer: true, end: true };
    for (const server of launcher.living) server.auto = launcher.auto;
    const closing = pool.shutdown({ mode: 'emergency' });
    for (const server of launcher.living) server.exit();
    await closing;
    expect(clock.pending).toBe(0);
  });
  const reasons = () => emitted.flatMap(({ event, payload }) => (event === 'server:stopping' ? [payload.reason] : []));
  return { clock, launcher, pool, emitted, reasons };
}

/** The code of the error that a call of a pool rejects with. */
export const codeOf = async (promise: Promise<unknown>) => ((await rejection(promise)) as PoolError).code;

/** The scope of a call: only what is set. The pool refuses a key with the value undefined. */
export const scopeOf = ({ tenant, owner }: { tenant?: string | undefined; owner?: string | undefined }) => ({
  ...(tenant === undefined ? {} : { tenant }),
  ...(owner === undefined ? {} : { owner }),
});

export const shared = { command: 'fake', sharing: 'shared' } as const;

export async function leases(
  pool: MCPServerPool,
  count: number,
): Promise<{ lease: PooledServer; client: RawClient }[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const lease = await pool.getServer('a');
      return { lease, client: await RawClient.connect(lease.transport) };
    }),
  );
}

/** Calls `getServer()`, and lets the server exit before it is ready. */
export async function failStart(pool: MCPServerPool, launcher: FakeLauncher, options?: AcquireOptions): Promise<void> {
  const call = rejection(pool.getServer('a', options));
  await flush();
  launcher.last.exit({ exitCode: 1 });
  await call;
}
