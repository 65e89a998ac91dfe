import { expect, onTestFinished } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { MCPServerPool, type PoolEvents, type PoolOptions, type ServerDefinition } from '../../src/index.js';
import type { Launcher } from '../../src/process/launcher.js';
import { type Clock, systemClock } from '../../src/runtime/clock.js';
import { rejection } from './until.js';

/** A pool of real processes, shut down when the test is over. */
export function open(
  servers: Record<string, ServerDefinition>,
  options: Omit<PoolOptions, 'servers'> = {},
  clock: Clock = systemClock,
  launcher?: Launcher,
): MCPServerPool {
  // On a loaded machine a missed check must count, too, where a test is about checks.
  const pool = new MCPServerPool({ servers, ...options }, { clock, launcher, overload: () => undefined });
  onTestFinished(async () => {
    expect((await pool.shutdown({ mode: 'emergency' })).survivors).toEqual([]);
  });
  return pool;
}

/** The payloads of an event, from now on. */
export function record<K extends keyof PoolEvents>(pool: MCPServerPool, event: K): PoolEvents[K][] {
  const payloads: PoolEvents[K][] = [];
  pool.on(event, ((payload: PoolEvents[K]) => payloads.push(payload)) as never);
  return payloads;
}

/** The error that a call of a pool rejects with. */
export const fails = async (promise: Promise<unknown>) => (await rejection(promise)) as PoolError;
