import { expect } from 'vitest';
import { PoolError } from '../../src/errors.js';
import type { AnyPoolEvent } from '../../src/index.js';

/** Fails unless a payload can be written as JSON as it is: plain values, and errors that show their message and code. */
export function assertJsonSafe([event, payload]: AnyPoolEvent): void {
  // One that throws fails by itself.
  const written: unknown = JSON.parse(JSON.stringify(payload));
  expect(written, event).toBeTypeOf('object');
  // What a listener has thrown may be anything; the payload says what of it is written.
  if (event !== 'listener:error') look(payload, written, event);
}

function look(value: unknown, written: unknown, path: string): void {
  if (value === undefined) return expect(written, path).toBeUndefined();
  if (value instanceof PoolError) {
    const { code, message, data } = value;
    expect(written, path).toMatchObject({ code, message });
    return look(data, (written as { data: unknown }).data, `${path}.data`);
  }
  if (typeof value === 'number' && !Number.isFinite(value)) return expect(written, path).toBeNull();
  if (typeof value !== 'object' || value === null) {
    expect(['string', 'number', 'boolean', 'object'], path).toContain(typeof value);
    return expect(written, path).toBe(value);
  }
  // No class with insides, no map, no buffer.
  expect([Object.prototype, Array.prototype, null], path).toContain(Object.getPrototypeOf(value));
  for (const [key, part] of Object.entries(value)) {
    look(part, (written as Record<string, unknown>)[key], `${path}.${key}`);
  }
}
