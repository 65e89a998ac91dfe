import type { ResolvedStep } from '../config/resolve-sequence.js';

/** A step that has been up for so long starts afresh when it ends: its earlier failures do not count, ms. */
const STABLE_AFTER = 10_000;
/** Limits the exponent: 64 doublings exceed every `maxDelay`, and without a limit `0 * Infinity` would be NaN. */
const MAX_DOUBLINGS = 64;

/** The failures that count after one more: attempts in a row, of which none was stable. */
export function failuresAfter(failures: number, uptime: number): number {
  return uptime >= STABLE_AFTER ? 0 : failures + 1;
}

/**
 * The pause before a step is begun again, in ms; undefined: it has failed. A step that was stable is begun again at once.
 * @param until clock time after which no attempt may begin
 */
export function retryDelay(
  failures: number,
  { retries, backoff: { minDelay, maxDelay } }: Pick<ResolvedStep, 'retries' | 'backoff'>,
  now: number,
  until: number,
): number | undefined {
  if (failures > retries) return undefined;
  const delay = failures === 0 ? 0 : Math.min(maxDelay, minDelay * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  return now + delay < until ? delay : undefined;
}
