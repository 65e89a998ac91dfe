/**
 * Answers of one server that came in the same turn of the event loop, to requests that were sent in the same turn: they took
 * equally long, and are counted together. Where many requests are under way, most are alike.
 */
export class AnswerBatch {
  readonly #count: (now: number, name: string, duration: number, times: number) => void;
  #name = '';
  /** Clock times at which they were sent and answered, ms. */
  #since = 0;
  #now = 0;
  #times = 0;

  constructor(count: (now: number, name: string, duration: number, times: number) => void) {
    this.#count = count;
  }

  add(name: string, since: number, now: number): void {
    if (since !== this.#since || now !== this.#now || name !== this.#name) {
      this.flush();
      this.#name = name;
      this.#since = since;
      this.#now = now;
    }
    this.#times += 1;
  }

  /** Counts what was added. */
  flush(): void {
    if (this.#times > 0) this.#count(this.#now, this.#name, this.#now - this.#since, this.#times);
    this.#times = 0;
  }
}
