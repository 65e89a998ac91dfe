import { EarlierLives } from './earlier-lives.js';
import { type LeakOptions, LeakWatch } from './leak-watch.js';

/** Shows which instances leak, by the memory that they use over hours. It has no clock: samples come with their time. */
export class LeakDetector {
  readonly #options: LeakOptions;
  readonly #lives = new EarlierLives();

  constructor(options: LeakOptions) {
    this.#options = options;
  }

  /**
   * Watches an instance from its start on.
   *
   * @param name of its server: its lives are compared with each other
   */
  watch(name: string): LeakWatch {
    return new LeakWatch(name, this.#options, this.#lives);
  }

  /** Earlier lives of this server count no more: its definition has changed. */
  forget(name: string): void {
    this.#lives.forget(name);
  }
}
