import { readArgument, readLabel } from '../config/arguments.js';
import { count, numeric } from '../config/number-fields.js';
import { typed } from '../config/snapshot.js';
import { PoolError } from '../errors.js';
import { type ListenerError, SafeEmitter } from '../events.js';
import type { Outbox } from '../runtime/outbox.js';
import { currentPlatform } from './platforms/current-platform.js';
import { identify, isAlive, type ProcessIdentity, type ProcessTable } from './process-table.js';

/** One process in a registry. */
export interface RegistryEntry {
  /** `mcp-<timestamp>-<sequence>`: unique in a host process. */
  readonly id: string;
  /** Name of its definition. */
  readonly name: string;
  readonly pid: number;
  /**
   * With the pid the identity of the process: clock ticks since boot on Linux, not always whole; seconds on macOS,
   * microseconds on Windows.
   */
  readonly startTime: number;
  /** When it was registered, ms since the epoch. */
  readonly registeredAt: number;
}

/** Why an entry left the registry. */
export type RemovalReason =
  /** By a call of `remove()`. */
  | 'removed'
  /** A consistency check found no living process. */
  | 'dead'
  /** Its pid belongs to another process now: found by a consistency check, or by `add()`. */
  | 'reused';

/** The events of a `ProcessRegistry` with the payload of each. */
export interface RegistryEvents {
  /** A process was registered. */
  'registry:added': { entry: RegistryEntry };
  /** An entry has left the registry. */
  'registry:removed': { entry: RegistryEntry; reason: RemovalReason };
  /** An index did not match the entries and was rebuilt. */
  'registry:repaired': { problems: readonly string[] };
  /** A listener threw an error, or returned a promise that was rejected. */
  'listener:error': ListenerError;
}

/** What a consistency check has found and repaired. */
export interface ConsistencyReport {
  /** How many entries were compared. */
  readonly checked: number;
  /** Entries without a living process: removed. */
  readonly dead: readonly RegistryEntry[];
  /** Entries whose pid belongs to another process now: removed. */
  readonly reused: readonly RegistryEntry[];
  /** Where an index did not match the entries. */
  readonly problems: readonly string[];
}

/** Counts of a `ProcessRegistry` since its creation. */
export interface RegistryMetrics {
  /** Entries now. */
  readonly size: number;
  /** Entries now, by name. */
  readonly byName: Readonly<Record<string, number>>;
  /** How many were added. */
  readonly added: number;
  /** How many were removed, by reason. */
  readonly removed: Readonly<Record<RemovalReason, number>>;
  /** How often the indexes had to be rebuilt. */
  readonly repaired: number;
}

/** Shared by all registries of the process, so that the ids of two pools differ in a common log. */
let sequence = 0;

/** The registries with entries. Shared by all copies of the package in this thread. */
const PLACE = Symbol.for('mcp-server-pool.registries/1');

function registriesInUse(): Set<{ list(): readonly ProcessIdentity[] }> {
  const place = globalThis as { [PLACE]?: Set<{ list(): readonly ProcessIdentity[] }> };
  place[PLACE] ??= new Set();
  return place[PLACE];
}

/** What all registries of this thread have. */
export function registeredProcesses(): ProcessIdentity[] {
  return [...registriesInUse()].flatMap((registry) => registry.list());
}

/** A new id, `mcp-<timestamp>-<sequence>`. */
export function nextInstanceId(): string {
  sequence += 1;
  return `mcp-${Date.now()}-${sequence}`;
}

/**
 * The processes that a host is responsible for, by id, name and pid. Works without a pool: add what you spawn, remove
 * what has ended, and let {@link check} compare the entries with the operating system.
 */
export class ProcessRegistry extends SafeEmitter<RegistryEvents> {
  readonly #table: ProcessTable;
  readonly #byId = new Map<string, RegistryEntry>();
  readonly #byPid = new Map<number, RegistryEntry>();
  readonly #byName = new Map<string, Set<RegistryEntry>>();
  #added = 0;
  #repaired = 0;
  readonly #removed: Record<RemovalReason, number> = { removed: 0, dead: 0, reused: 0 };

  /**
   * @param outbox of a pool, which delivers the events
   * @throws PoolError `NOT_SUPPORTED` where the processes of the system cannot be listed
   */
  constructor(table: ProcessTable = currentPlatform().table, outbox?: Outbox) {
    super(outbox);
    this.#table = table;
  }

  get size(): number {
    return this.#byId.size;
  }

  /**
   * Adds a process. Call it in the tick of the spawn. An existing entry of the same pid belongs to a dead process: it
   * is removed as `reused`. A missing `startTime` is read from the operating system.
   * @throws PoolError `INVALID_OPTIONS` when no process has that pid, `id` is in use, or a value has a wrong type
   */
  add(given: NewEntry): RegistryEntry {
    const { id = nextInstanceId(), name, pid, startTime = identify(this.#table, pid) } = readNewEntry(given);
    if (startTime === undefined) throw refusal(`cannot register '${name}': there is no process ${pid}`);
    if (this.#byId.has(id)) throw refusal(`cannot register '${name}': the id ${id} is taken`);
    const previous = this.#byPid.get(pid);
    if (previous !== undefined) this.#remove(previous, 'reused');
    const entry: RegistryEntry = { id, name, pid, startTime, registeredAt: Date.now() };
    this.#byId.set(id, entry);
    registriesInUse().add(this);
    this.#index(entry);
    this.#added += 1;
    this.emit('registry:added', { entry });
    return entry;
  }

  /** Removes an entry. False when no entry has that id. */
  remove(id: string): boolean {
    const entry = this.#byId.get(id);
    if (entry !== undefined) this.#remove(entry, 'removed');
    return entry !== undefined;
  }

  get(id: string): RegistryEntry | undefined {
    return this.#byId.get(id);
  }

  byPid(pid: number): RegistryEntry | undefined {
    return this.#byPid.get(pid);
  }

  byName(name: string): RegistryEntry[] {
    return [...(this.#byName.get(name) ?? [])];
  }

  list(): RegistryEntry[] {
    return [...this.#byId.values()];
  }

  /**
   * Compares the entries with the operating system and the indexes with the entries. Repairs and reports what is wrong.
   */
  check(): ConsistencyReport {
    const entries = this.list();
    const problems = this.#checkIndexes();
    if (problems.length > 0) {
      this.#byPid.clear();
      this.#byName.clear();
      for (const entry of entries) this.#index(entry);
      this.#repaired += 1;
      this.emit('registry:repaired', { problems });
    }
    const gone = entries.filter(({ pid, startTime }) => !isAlive(this.#table, pid, startTime));
    const reused = gone.filter(({ pid, startTime }) => (this.#table.read(pid)?.startTime ?? startTime) !== startTime);
    const dead = gone.filter((entry) => !reused.includes(entry));
    for (const entry of reused) this.#remove(entry, 'reused');
    for (const entry of dead) this.#remove(entry, 'dead');
    return { checked: entries.length, dead, reused, problems };
  }

  /** Counts and not the entries, of which there may be many. */
  override toJSON(): object {
    return this.metrics();
  }

  metrics(): RegistryMetrics {
    return {
      size: this.size,
      byName: Object.fromEntries([...this.#byName].map(([name, entries]) => [name, entries.size])),
      added: this.#added,
      removed: { ...this.#removed },
      repaired: this.#repaired,
    };
  }

  #checkIndexes(): string[] {
    const problems: string[] = [];
    for (const entry of this.#byId.values()) {
      if (this.#byPid.get(entry.pid) !== entry) problems.push(`${entry.id} is missing under pid ${entry.pid}`);
      if (!this.#byName.get(entry.name)?.has(entry)) problems.push(`${entry.id} is missing under name ${entry.name}`);
    }
    for (const [pid, entry] of this.#byPid) {
      if (this.#byId.get(entry.id) !== entry) problems.push(`pid ${pid} leads to ${entry.id}, which is no entry`);
    }
    for (const [name, entries] of this.#byName) {
      for (const entry of entries) {
        if (this.#byId.get(entry.id) !== entry) problems.push(`name ${name} leads to ${entry.id}, which is no entry`);
      }
    }
    return problems;
  }

  #index(entry: RegistryEntry): void {
    this.#byPid.set(entry.pid, entry);
    const named = this.#byName.get(entry.name);
    if (named === undefined) this.#byName.set(entry.name, new Set([entry]));
    else named.add(entry);
  }

  #remove(entry: RegistryEntry, reason: RemovalReason): void {
    // A listener may have removed it already.
    if (!this.#byId.delete(entry.id)) return;
    if (this.#byId.size === 0) registriesInUse().delete(this);
    if (this.#byPid.get(entry.pid) === entry) this.#byPid.delete(entry.pid);
    const named = this.#byName.get(entry.name);
    named?.delete(entry);
    if (named?.size === 0) this.#byName.delete(entry.name);
    this.#removed[reason] += 1;
    this.emit('registry:removed', { entry, reason });
  }
}

const call = 'add()';
const pidField = count(1, 1);
const startField = numeric(
  0,
  'a finite number, 0 or more',
  { minimum: 0 },
  (value) => value >= 0 && Number.isFinite(value),
);

/** @throws PoolError `INVALID_OPTIONS` */
function readNewEntry(given: NewEntry): NewEntry {
  const { id, name, pid, startTime } = typed(() => ({ ...given }), 'the entry');
  readLabel(name, 'name', call);
  readArgument(pidField, pid, 'pid', call);
  if (startTime !== undefined) readArgument(startField, startTime, 'startTime', call);
  return { name, pid, startTime, ...(id === undefined ? {} : { id: readLabel(id, 'id', call) }) };
}

function refusal(problem: string): PoolError {
  return new PoolError('INVALID_OPTIONS', problem, { problems: [problem] });
}

/** What `add()` needs of a process. */
export interface NewEntry {
  readonly id?: string;
  readonly name: string;
  readonly pid: number;
  readonly startTime?: number | undefined;
}
