/** The option `monitoring.growth`. */
export interface GrowthSettings {
  /** So many processes, or spawns of servers, within `within` are too many. */
  readonly processes: number;
  /** ms. */
  readonly within: number;
}

/** How many processes a tree has at one moment. */
export interface TreeCount {
  readonly id: string;
  /** Of its server. */
  readonly name: string;
  readonly processes: number;
}

/** A growth that is to be reported. */
export interface Growth {
  /** Processes that were added, or servers that were spawned. */
  readonly processes: number;
  /** ms in which that happened, at most. */
  readonly within: number;
  /** The servers that grow, the one that grows most first. */
  readonly names: readonly string[];
}

/** One sample. */
interface Count {
  readonly at: number;
  /** Trees that could not be measured have what they had before. */
  readonly trees: ReadonlyMap<string, TreeCount>;
  readonly total: number;
  /** Trees that could not be measured. */
  readonly unknown: ReadonlySet<string>;
}

/** What a sample is compared with. */
interface Before {
  readonly counts: readonly Count[];
  /** The time since the newest of them, but at least the window, ms. */
  readonly span: number;
}

/** For so many windows samples are kept. What is back after two windows is a restart. */
const KEPT_WINDOWS = 3;
/** They are at least this share of the window apart, so that their number has a limit. */
const FINEST = 1 / 60;
/** For so long a growth must have been there, ms: two samples in a row may be of one moment. */
const LASTING = 500;

/**
 * Finds a growth of all trees together by samples, and bursts of spawns at each spawn. What had been there shortly before is
 * no growth, so servers that are started again are none; what the next sample does not show any more was a spike. A burst
 * is reported once, and again only when it has gone on for another window.
 */
export class GrowthWatch {
  readonly #processes: number;
  readonly #within: number;
  /** The oldest first. */
  #counts: Count[] = [];
  #latest: Count | undefined;
  /** What `#latest` is compared with; made when it is asked for. */
  #compared: Before | undefined;
  /** A growth, and when it was seen. The next sample confirms it when the total is still as far above what was before. */
  #pending: { readonly at: number; readonly before: Before } | undefined;
  /** The last spawns, the oldest first: as many as make a burst. */
  #spawns: { readonly at: number; readonly name: string }[] = [];
  #toldAt = -Infinity;

  constructor({ processes, within }: GrowthSettings) {
    this.#processes = processes;
    this.#within = within;
  }

  /** Whether the next sample decides on a growth. */
  get isUndecided(): boolean {
    return this.#pending !== undefined;
  }

  /**
   * Takes a sample.
   *
   * @param at Clock time, ms.
   * @param trees Those that were measured.
   * @param unknown Ids of those that could not be: they have not grown by that, now or when they can be measured again.
   */
  sample(at: number, trees: readonly TreeCount[], unknown: readonly string[] = []): Growth | undefined {
    // The clock was set back: nothing that is kept can be compared with what comes.
    if (at < (this.#latest?.at ?? at)) [this.#counts, this.#pending] = [[], undefined];
    const now = this.#countOf(at, trees, new Set(unknown));
    this.#counts = this.#counts.filter(
      (count) => at - count.at <= KEPT_WINDOWS * this.#within || count === this.#counts.at(-1),
    );
    const growth = this.#growthAt(now);
    this.#latest = now;
    this.#compared = undefined;
    const newest = this.#counts.at(-1);
    if (!newest || at - newest.at >= this.#within * FINEST) this.#counts.push(now);
    return growth;
  }

  /** Takes the spawn of a server. @param at Clock time, ms */
  spawned(at: number, name: string): Growth | undefined {
    if (at < (this.#spawns.at(-1)?.at ?? at)) this.#spawns = [];
    this.#spawns.push({ at, name });
    if (this.#spawns.length > this.#processes) this.#spawns.shift();
    const first = this.#spawns[0];
    if (!first || this.#spawns.length < this.#processes || at - first.at > this.#within) return undefined;
    if (!this.#mayTell(at)) return undefined;
    const byName = new Map<string, number>();
    for (const spawn of this.#spawns) byName.set(spawn.name, (byName.get(spawn.name) ?? 0) + 1);
    const growth = { processes: this.#spawns.length, within: this.#within, names: largestFirst(byName) };
    this.#told(at);
    return growth;
  }

  /** By how many processes a tree has grown within the window; 0 for one that is not in the last sample. */
  growthOf(id: string): number {
    const now = this.#latest?.trees.get(id);
    if (!this.#latest || !now || this.#latest.unknown.has(id)) return 0;
    this.#compared ??= this.#before(this.#latest);
    const { counts } = this.#compared;
    if (counts.length === 0) return 0;
    return Math.max(now.processes - Math.max(...counts.map((count) => processesAt(count, now))), 0);
  }

  /** Only what is compared is kept of the trees; of one that has as many processes as before, no second time. */
  #countOf(at: number, trees: readonly TreeCount[], unknown: ReadonlySet<string>): Count {
    const counts = new Map<string, TreeCount>();
    let total = 0;
    for (const { id, name, processes } of trees) {
      const before = this.#latest?.trees.get(id);
      counts.set(id, before?.processes === processes ? before : { id, name, processes });
      total += processes;
    }
    for (const id of unknown) {
      const before = this.#latest?.trees.get(id);
      if (before) counts.set(id, before);
      total += before?.processes ?? 0;
    }
    return { at, trees: counts, total, unknown };
  }

  #growthAt(now: Count): Growth | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    const before = pending?.before ?? this.#before(now);
    if (before.counts.length === 0) return undefined;
    const processes = Math.min(...before.counts.map((count) => growthSince(count, now)));
    // Where samples are further apart than the window, the mean speed decides.
    if (processes * this.#within < this.#processes * before.span || !this.#mayTell(now.at)) return undefined;
    if (now.at - (pending?.at ?? now.at) < LASTING) {
      this.#pending = pending ?? { at: now.at, before };
      return undefined;
    }
    this.#told(now.at);
    return { processes, within: before.span, names: growing(now, before.counts) };
  }

  /**
   * The samples before the window, and the oldest one in it. That one alone would not do: what comes back after a restart
   * would be growth.
   */
  #before({ at }: Count): Before {
    const older = this.#counts.filter((count) => count.at < at);
    const first = older.findIndex((count) => at - count.at <= this.#within);
    const counts = first === -1 ? older : older.slice(0, first + 1);
    return { counts, span: Math.max(this.#within, at - (counts.at(-1)?.at ?? at)) };
  }

  /** A clock that was set back since then by more than the window mutes nothing. */
  #mayTell(at: number): boolean {
    return Math.abs(at - this.#toldAt) >= this.#within;
  }

  #told(at: number): void {
    this.#toldAt = at;
    this.#spawns = [];
  }
}

/** The names that have more processes than in each of the counts before. */
function growing(now: Count, before: readonly Count[]): string[] {
  const counts = before.map((count) => growthByName(count, now));
  const names = new Set([...now.trees.values()].map(({ name }) => name));
  return largestFirst([...names].map((name) => [name, Math.min(...counts.map((count) => count.get(name) ?? 0))]));
}

function growthSince(before: Count, now: Count): number {
  if (now.unknown.size === 0 && before.unknown.size === 0) return now.total - before.total;
  return [...growthByName(before, now).values()].reduce((sum, growth) => sum + growth, 0);
}

/** Trees that could not be measured now are left out on both sides. */
function growthByName(before: Count, now: Count): Map<string, number> {
  const byName = new Map<string, number>();
  const add = (name: string, processes: number) => byName.set(name, (byName.get(name) ?? 0) + processes);
  for (const tree of now.trees.values()) {
    if (!now.unknown.has(tree.id)) add(tree.name, tree.processes - processesAt(before, tree));
  }
  // Those that are gone have made room.
  for (const { id, name, processes } of before.trees.values()) {
    if (!now.trees.has(id) && !now.unknown.has(id)) add(name, -processes);
  }
  return byName;
}

/** What a tree had then. One that could not be measured, and was not before, had what it has now. */
function processesAt({ trees, unknown }: Count, { id, processes }: TreeCount): number {
  return trees.get(id)?.processes ?? (unknown.has(id) ? processes : 0);
}

/** Names with figures above 0, the largest first; equal ones by name. */
function largestFirst(figures: Iterable<[string, number]>): string[] {
  return [...figures]
    .filter(([, figure]) => figure > 0)
    .sort(([nameA, a], [nameB, b]) => b - a || (nameA < nameB ? -1 : 1))
    .map(([name]) => name);
}
