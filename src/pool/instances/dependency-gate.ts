import type { LeaseClass, OpenEntry, ServerEntry } from './server-entry.js';

/** A caller that waits, as far as it matters here. */
export interface WaitingForSlot {
  readonly name: string;
  readonly tenant: string | undefined;
  /** Of its arrival. */
  readonly number: number;
  /** With `onInstance` it stands for the pool itself. */
  readonly request: { readonly onInstance?: unknown };
}

/** Where there is no slot for a caller: in the pool, for its server, or for its tenant on that server. */
export type Shortage = 'pool' | 'server' | 'tenant';

/** Knows what servers depend on, and brings it up. All is called within an operation, and must not throw. */
export interface DependencyKeeper {
  /** Whether nothing is brought up: then nobody need learn what goes. */
  readonly isEmpty: boolean;
  /** Whether what this server depends on is there for a tenant. */
  isThere(entry: OpenEntry, tenant: string | undefined): boolean;
  /** A start waits until it is. */
  bringUp(entry: OpenEntry, tenant: string | undefined): void;
  /** Instances and callers of this server and tenant have gone. */
  left(name: string, tenant: string | undefined): void;
  /** What a start waits for, by name. */
  missing(name: string, tenant: string | undefined): readonly string[];
  /** A caller finds no slot while idle instances are kept for others. */
  relieve(shortage: Shortage, caller: WaitingForSlot): void;
}

/** How often an operation goes on with what was brought up for it. The rest follows in the next one. */
const MOST_ROUNDS = 5;

/**
 * Whether servers may be started: what they depend on is there, for the tenant that they are to serve. A start that has to wait asks
 * for it; at the end of the operation `ServerOrder` brings it up.
 */
export class DependencyGate {
  readonly #asked = new Map<ServerEntry, Set<string | undefined>>();
  readonly #left = new Map<string, Set<string | undefined>>();
  #relief: { readonly shortage: Shortage; readonly caller: WaitingForSlot } | undefined;
  #keeper: DependencyKeeper | undefined;

  connect(keeper: DependencyKeeper): void {
    this.#keeper = keeper;
  }

  /** Whether it may be started for a tenant now. */
  allows(entry: ServerEntry, tenant: string | undefined): boolean {
    const { definition } = entry;
    if (definition === undefined || definition.dependencies.length === 0) return true;
    return this.#keeper?.isThere(entry as OpenEntry, tenant) ?? false;
  }

  /** The same; if it may not, that is asked for. */
  allowsOrAsks(entry: ServerEntry, tenant: string | undefined): boolean {
    const isAllowed = this.allows(entry, tenant);
    if (!isAllowed) addTo(this.#asked, entry, tenant);
    return isAllowed;
  }

  /** An instance or a caller of a class is gone: perhaps it was the last one. */
  lost({ entry, tenant }: LeaseClass): void {
    this.noteLeft(entry.name, tenant);
  }

  noteLeft(name: string, tenant: string | undefined): void {
    if (this.#keeper?.isEmpty === false) addTo(this.#left, name, tenant);
  }

  /** A caller finds no slot: the first one of an operation counts, which has waited longest. */
  askRelief(shortage: Shortage, caller: WaitingForSlot): void {
    this.#relief ??= { shortage, caller };
  }

  missing(name: string, tenant: string | undefined): readonly string[] {
    return this.#keeper?.missing(name, tenant) ?? [];
  }

  /** To be called at the end of each operation: does what was asked for in it. @param again callers may get something by that */
  settle(again: () => void): void {
    for (let round = 0; round < MOST_ROUNDS && this.#settleOnce(); round++) again();
  }

  #settleOnce(): boolean {
    if (this.#asked.size === 0 && this.#left.size === 0 && this.#relief === undefined) return false;
    const [asked, left, relief] = [[...this.#asked], [...this.#left], this.#relief];
    this.#asked.clear();
    this.#left.clear();
    this.#relief = undefined;
    for (const [name, tenants] of left) for (const tenant of tenants) this.#keeper?.left(name, tenant);
    for (const [entry, tenants] of asked) {
      if (entry.definition === undefined) continue;
      for (const tenant of tenants) this.#keeper?.bringUp(entry as OpenEntry, tenant);
    }
    if (relief) this.#keeper?.relieve(relief.shortage, relief.caller);
    return asked.length + left.length > 0;
  }
}

function addTo<K>(map: Map<K, Set<string | undefined>>, key: K, tenant: string | undefined): void {
  const tenants = map.get(key);
  if (tenants) tenants.add(tenant);
  else map.set(key, new Set([tenant]));
}
