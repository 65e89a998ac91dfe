import { describeValue, isPlainObject } from '../config/fields.js';
import type { ResolvedDefinition, ResolvedPoolOptions, ServerDefinition } from '../config/options.js';
import { refuse } from '../config/read-options.js';
import { resolveDefinitions } from '../config/resolve-options.js';
import { snapshot } from '../config/snapshot.js';
import { levelsOf } from '../runtime/graph.js';

/** What `applyConfig()` has done: the names of the servers. */
export interface AppliedConfig {
  /** Names of servers that are new. */
  readonly added: readonly string[];
  /** Names of servers whose definition has changed. */
  readonly updated: readonly string[];
  /** Names of servers that are not in the configuration any more. */
  readonly removed: readonly string[];
  /** Names of servers that stay as they were. */
  readonly unchanged: readonly string[];
  /** Named in the configuration, but added by the host itself or by another source: left alone. */
  readonly skipped: readonly string[];
}

/** The pool as it is before a configuration is applied. */
interface Before {
  readonly options: ResolvedPoolOptions;
  /** The source of each server that a configuration has added. */
  readonly sources: ReadonlyMap<string, string>;
  readonly defined: readonly ResolvedDefinition[];
}

interface ConfigPlan {
  readonly source: string;
  readonly put: readonly ResolvedDefinition[];
  readonly remove: readonly string[];
  readonly skipped: readonly string[];
}

/** What a plan is applied to. */
interface Servers {
  readonly sources: Map<string, string>;
  has(name: string): boolean;
  put(definition: ResolvedDefinition): boolean;
  remove(name: string, timeout: number): Promise<void>;
}

/**
 * What has to be done so that the servers of a source are these. Pure.
 * @throws PoolError that lists the problems of all definitions
 */
export function planConfig(given: unknown, { source }: { readonly source: string }, before: Before): ConfigPlan {
  const servers = readServers(given);
  const { options, sources, defined } = before;
  const isOwn = (name: string) => sources.get(name) === source;
  const others = defined.filter(({ name }) => !isOwn(name));
  const taken = new Set(others.map(({ name }) => name));
  const wanted = servers.filter(([name]) => !taken.has(name));
  const put = resolveDefinitions(Object.fromEntries(wanted), options, others, 'the servers of applyConfig()');
  const names = new Set(wanted.map(([name]) => name));
  const gone = defined.filter(({ name }) => isOwn(name) && !names.has(name));
  // What others depend on is defined before these, and removed after them.
  const remove = inOrder(gone)
    .reverse()
    .map(({ name }) => name);
  return {
    source,
    put: inOrder(put),
    remove,
    skipped: servers.map(([name]) => name).filter((name) => taken.has(name)),
  };
}

/** To be called within an operation: no listener sees a part of it. */
export function applyPlan({ source, put, remove, skipped }: ConfigPlan, servers: Servers): AppliedConfig {
  const added: string[] = [];
  const updated: string[] = [];
  const unchanged: string[] = [];
  for (const definition of put) {
    const { name } = definition;
    const isNew = !servers.has(name);
    const list = servers.put(definition) ? (isNew ? added : updated) : unchanged;
    list.push(name);
    servers.sources.set(name, source);
  }
  // Last: until now servers that were changed may have depended on them.
  for (const name of remove) {
    // It ends when the last lease does, and then nobody waits for it.
    servers.remove(name, Infinity).catch(() => {});
  }
  return { added, updated, removed: remove, unchanged, skipped };
}

function readServers(given: unknown): [string, ServerDefinition][] {
  const servers = snapshot(given, 'the servers of applyConfig()');
  if (isPlainObject(servers)) return Object.entries(servers) as [string, ServerDefinition][];
  const wrong = [`servers must be an object of definitions by name, got ${describeValue(servers)}`];
  return refuse({ wrong, unsupported: [] }, 'the call of applyConfig()') as never;
}

/** Each after those that it depends on. */
function inOrder(definitions: readonly ResolvedDefinition[]): ResolvedDefinition[] {
  const byName = new Map(definitions.map((definition) => [definition.name, definition]));
  const needs = ({ dependencies }: ResolvedDefinition) => dependencies.flatMap(({ id }) => byName.get(id) ?? []);
  return [...levelsOf(definitions, needs).keys()];
}
