import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { EventLoopDelay } from './host-sample.js';

/**
 * ms between two looks of Node's own timer, which keeps no host alive. One of JavaScript would cost three times as much. A
 * delay of less than two intervals may not be seen. 50 ms cost a tenth of all that monitoring costs a host at rest.
 */
const RESOLUTION = 100;
const NANOSECONDS = 1e6;

/**
 * How late the event loop is. Costs nothing while it is stopped.
 *
 * Node records the time from one look to the next. A reset loses the interval that it falls into, and often that is the one
 * that counts: a loop that was blocked runs the timer of the sampler, then that of the histogram. So the time for which
 * nothing was recorded is counted, too.
 */
export class LoopDelay {
  #histogram: IntervalHistogram | undefined;
  /** Of the last reset, ms. */
  #since = 0;

  start(): void {
    if (this.#histogram) return;
    this.#histogram = monitorEventLoopDelay({ resolution: RESOLUTION });
    this.#histogram.enable();
    this.#since = performance.now();
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = undefined;
  }

  /** Since the last call; undefined when it is stopped, or nothing was measured yet. */
  take(): EventLoopDelay | undefined {
    const histogram = this.#histogram;
    if (histogram === undefined) return undefined;
    const { count } = histogram;
    const recorded = count === 0 ? 0 : (histogram.mean * count) / NANOSECONDS;
    // Before the first look and since the last one: together at most two intervals, if the loop was not late.
    const unrecorded = lateness(performance.now() - this.#since - recorded, 2);
    if (count === 0 && unrecorded === 0) return undefined;
    const [longest, p99] = [histogram.max, histogram.percentile(99)].map((value) =>
      count === 0 ? 0 : lateness(value / NANOSECONDS, 1),
    ) as [number, number];
    this.#since = performance.now();
    histogram.reset();
    return {
      mean: tenths((lateness(recorded, count) + unrecorded) / (count + Math.sign(unrecorded))),
      p99: tenths(Math.max(p99, count < 100 ? unrecorded : 0)),
      max: tenths(Math.max(longest, unrecorded)),
    };
  }
}

/** How much longer than so many intervals. */
function lateness(time: number, intervals: number): number {
  return Math.max(0, time - intervals * RESOLUTION);
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
