import type { DroppedOutput, Noise } from '../protocol/channels/noise.js';
import type { Clock, Timer } from '../runtime/clock.js';

/** Least time between two reports, ms: a server may write thousands of such lines. */
const INTERVAL = 10_000;

/** Reports what a server wrote and was dropped: the first at once, the rest in turns. */
export class NoiseReports {
  readonly #noise: Noise;
  readonly #clock: Clock;
  readonly #report: (dropped: DroppedOutput) => void;
  #timer: Timer | undefined;
  #hasEnded = false;

  constructor(noise: Noise, clock: Clock, report: (dropped: DroppedOutput) => void) {
    this.#noise = noise;
    this.#clock = clock;
    this.#report = report;
  }

  /** Something was dropped. */
  changed(): void {
    if (this.#timer === undefined && !this.#hasEnded) this.#reportNow();
  }

  /** The server has ended: the rest is reported now. */
  end(): void {
    this.#hasEnded = true;
    this.#timer?.cancel();
    const dropped = this.#noise.take();
    if (dropped) this.#report(dropped);
  }

  #reportNow(): void {
    const dropped = this.#noise.take();
    this.#timer = dropped && this.#clock.after(INTERVAL, () => this.#reportNow());
    if (dropped) this.#report(dropped);
  }
}
