import { BoundedMap } from '../../runtime/bounded-map.js';
import { quoted } from '../../runtime/quoted.js';

/** Of more sources those that have reported last count. */
const MOST_SOURCES = 1_000;
/** More than a trigger counts. */
const MOST_ONSETS = 5;
const MOST_SHOWN = 10;
/** What is shown of one: a tenant may have any length. In characters. */
const LONGEST_SOURCE = 200;

/** When something was the case before. Clock times. */
export interface Earlier {
  /** When it began, the latest last. */
  readonly onsets: readonly number[];
  readonly endedAt: number;
}

/**
 * Whether something is the case: as long as one of its sources has it. A source has it from its report until that is taken back, or
 * lapses. It is fed clock times.
 */
export class Condition {
  /** Source → clock time until which its report counts. */
  readonly #sources = new BoundedMap<number>(MOST_SOURCES);
  #onsets: readonly number[];
  #endedAt: number | undefined;

  constructor({ onsets, endedAt }: Earlier = { onsets: [], endedAt: -Infinity }) {
    this.#onsets = onsets;
    this.#endedAt = endedAt;
  }

  /** When it began, the last times, the latest last. */
  get onsets(): readonly number[] {
    return this.#onsets;
  }

  /** When it began last. */
  get heldSince(): number {
    return this.#onsets.at(-1) ?? Infinity;
  }

  /** Since when it does not hold; undefined while it does. */
  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  /** When all reports have lapsed; -Infinity when there is none. */
  get lapsesAt(): number {
    return Math.max(...this.#sources.values());
  }

  /** The first of what has it, in words of those that reported it. */
  sources(now: number): string[] {
    const having = [...this.#sources].filter(([source, until]) => source !== '' && until > now);
    return having.slice(0, MOST_SHOWN).map(([source]) => quoted(source, LONGEST_SOURCE));
  }

  /** A source has it. @returns for how long it was over, ms; undefined when it was not */
  report(source: string, now: number, lasts: number): number | undefined {
    this.advance(now);
    const gap = this.#endedAt === undefined ? undefined : now - this.#endedAt;
    if (gap !== undefined) this.#onsets = [...this.#onsets, now].slice(-MOST_ONSETS);
    this.#endedAt = undefined;
    this.#sources.set(source, now + lasts);
    return gap;
  }

  /** A source has it no longer. @param source undefined: none has it */
  takeBack(source: string | undefined, now: number): void {
    this.advance(now);
    if (source === undefined) this.#sources.clear();
    else this.#sources.delete(source);
    if (this.lapsesAt <= now) this.#end(now);
  }

  /** Time has passed: reports may have lapsed. */
  advance(now: number): void {
    if (this.lapsesAt <= now) this.#end(this.lapsesAt);
  }

  #end(at: number): void {
    this.#sources.clear();
    this.#endedAt ??= at;
  }
}
