import type { ProcessRow } from '../process-table.js';
import type { MarkReading } from './evidence.js';
import { hostNumberIn } from './marker.js';

/** A process with a mark, of whichever host. */
export interface MarkedRow {
  readonly row: ProcessRow;
  readonly reading: MarkReading;
}

/** What makes a process one of those that a search looks for. */
export interface WantedMark {
  /** As it is in an environment. */
  readonly text: string;
  readonly limit: bigint;
  /** The numbers of inner hosts: their servers may show no more than a limit. */
  readonly hosts: Iterable<number>;
}

/**
 * The processes with a mark in one look, by their marks. Each tree searches for its own mark: without this, the trees of a host
 * would have to judge the processes of all others.
 */
export class MarkIndex {
  readonly #byText = new Map<string, MarkedRow[]>();
  readonly #byLimit = new Map<bigint, MarkedRow[]>();
  /** Those with a limit alone, by the host that it names. */
  readonly #byHost = new Map<number, MarkedRow[]>();
  /** Those with marks in the environment. Their limits were of no use so far. */
  #unread: MarkedRow[] = [];

  add(marked: MarkedRow): void {
    const { marks = [] } = marked.reading;
    for (const text of marks) addTo(this.#byText, text, marked);
    if (marks.length > 0) return void this.#unread.push(marked);
    const limit = this.#addLimit(marked);
    if (limit !== undefined) addTo(this.#byHost, hostNumberIn(limit), marked);
  }

  /** All that can have that mark; whether they have it must still be judged. */
  find({ text, limit, hosts }: WantedMark): Set<MarkedRow> {
    const found = new Set(this.#byText.get(text));
    const unread = this.#unread;
    this.#unread = unread.filter((marked) => found.has(marked));
    for (const marked of unread) if (!found.has(marked)) this.#addLimit(marked);
    for (const marked of this.#byLimit.get(limit) ?? []) found.add(marked);
    for (const host of hosts) for (const marked of this.#byHost.get(host) ?? []) found.add(marked);
    return found;
  }

  #addLimit(marked: MarkedRow): bigint | undefined {
    const { limit } = marked.reading;
    if (limit !== undefined) addTo(this.#byLimit, limit, marked);
    return limit;
  }
}

function addTo<K>(map: Map<K, MarkedRow[]>, key: K, marked: MarkedRow): void {
  const list = map.get(key);
  if (list) list.push(marked);
  else map.set(key, [marked]);
}
