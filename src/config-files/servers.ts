import { isPlainObject } from '../config/fields.js';
import { nearest } from '../config/nearest.js';
import { definitionFields } from '../config/options.js';
import type { ConfigProblem, ServerDefinition } from '../index.js';
import { brokenByDependencies } from './dependencies.js';
import { type Path, setOwn } from './document.js';
import { type Entry, readEntry } from './entry.js';
import type { Format } from './formats.js';
import { type Mistake, readLocal, referencesOfLocal } from './local-entry.js';
import { type PoolPolicy, readPolicy } from './pool-policy.js';
import { readReferences, type Sources } from './references.js';
import { readRemote, referencesOfRemote } from './remote-entry.js';
import type { RemoteServer } from './remote-server.js';
import { shownName } from './shown-name.js';

/** A problem before its place is looked up: the path begins at the servers, or at `pool`. */
export interface Notice {
  readonly kind: ConfigProblem['kind'];
  readonly path: Path;
  readonly message: string;
  readonly server?: string;
}

interface ReadServers {
  readonly servers: Record<string, ServerDefinition>;
  readonly remote: Record<string, RemoteServer>;
  readonly disabled: readonly string[];
  readonly pool: PoolPolicy | undefined;
  readonly extra: Record<string, Readonly<Record<string, unknown>>>;
  /** The servers that could not be used. */
  readonly broken: readonly string[];
  readonly notices: readonly Notice[];
}

interface Rules {
  readonly format: Format;
  readonly isSure: boolean;
  readonly sources: Sources;
}

/** Keys of hosts, which are no misspelt options. */
const OF_HOSTS: ReadonlySet<string> = new Set(
  `alwaysAllow alwaysLoad authProviderType autoApprove autoapprove auth default_tools_approval_mode description dev disabledTools
  disabled_tools enabledTools enabled_tools excludeTools experimental_environment gallery headers headersHelper httpUrl icon id
  includeTools name oauth oauth_resource required sandbox sandboxEnabled scopes serverUrl startup_timeout_ms startup_timeout_sec
  supports_parallel_tool_calls timeout tool_timeout_sec toolCallTimeoutMillis tools transport transportType trust url version`.split(
    /\s+/,
  ),
);

/** Reads all entries. Never rejects. */
export async function readServers(
  entries: Readonly<Record<string, unknown>>,
  root: Readonly<Record<string, unknown>>,
  { format, isSure, sources }: Rules,
): Promise<ReadServers> {
  const policy = readPolicy(Object.hasOwn(root, 'pool') && root !== entries ? root.pool : undefined);
  const isOff = switchedOff(root);
  const sorted = Object.entries(entries).map(([name, value]): [string, Entry] => [
    name,
    isOff(name) ? { kind: 'disabled' } : readEntry(value, format, isSure),
  ]);
  const references = sorted.flatMap(([, entry]) =>
    entry.kind === 'local'
      ? referencesOfLocal(entry, format)
      : entry.kind === 'remote'
        ? referencesOfRemote(entry, format)
        : [],
  );
  const values = await readReferences(references, sources);
  const reading = { format, isSure, values, sources, pool: policy.options };
  const read = { servers: {}, remote: {}, extra: {} };
  const [disabled, broken]: [string[], string[]] = [[], []];
  const notices: Notice[] = policy.mistakes.map((mistake) => ({ kind: 'pool', ...mistake }));
  const refuse = (name: string, mistakes: readonly Mistake[]) => {
    broken.push(name);
    notices.push(refusal(name, mistakes));
  };
  for (const [name, entry] of sorted) {
    if (entry.kind === 'disabled') {
      disabled.push(name);
      continue;
    }
    if (entry.kind === 'wrong') {
      refuse(name, [{ path: entry.key === undefined ? [] : [entry.key], message: entry.message }]);
      continue;
    }
    if (Object.keys(entry.extra).length > 0) setOwn(read.extra, name, entry.extra);
    if (entry.kind === 'remote') {
      const result = readRemote(entry, reading);
      if ('mistakes' in result) refuse(name, result.mistakes);
      else setOwn(read.remote, name, result.server);
      continue;
    }
    const result = await readLocal(name, entry, reading);
    if ('mistakes' in result) refuse(name, result.mistakes);
    else setOwn(read.servers, name, result.definition);
    notices.push(...misspelt(name, entry.extra));
  }
  const unusable = new Map([
    ...disabled.map((name) => [name, 'is switched off'] as const),
    ...Object.keys(read.remote).map((name) => [name, 'is remote'] as const),
    ...broken.map((name) => [name, 'cannot be used'] as const),
  ]);
  for (const [name, message] of brokenByDependencies(read.servers, unusable, policy.options)) {
    delete (read.servers as Record<string, ServerDefinition>)[name];
    refuse(name, [{ path: ['dependsOn'], message }]);
  }
  return { ...read, disabled, broken, pool: policy.policy, notices };
}

/** One problem for each entry, with all that is wrong with it. */
function refusal(name: string, mistakes: readonly Mistake[]): Notice {
  const [first] = mistakes;
  const messages = [...new Set(mistakes.map(({ message }) => message))].join('; ');
  const message = `server '${shownName(name)}' cannot be used: ${messages}`;
  return { kind: 'server', path: [name, ...(first?.path ?? [])], message, server: name };
}

/** Gemini CLI: lists of servers beside them. */
function switchedOff({ mcp }: Readonly<Record<string, unknown>>): (name: string) => boolean {
  const { allowed, excluded } = isPlainObject(mcp) ? mcp : {};
  return (name) =>
    (Array.isArray(excluded) && excluded.includes(name)) || (Array.isArray(allowed) && !allowed.includes(name));
}

/** A misspelt option would be kept aside in silence. */
function misspelt(name: string, extra: Readonly<Record<string, unknown>>): Notice[] {
  return Object.keys(extra).flatMap((key): Notice[] => {
    const [near] = OF_HOSTS.has(key) || key.length < 5 ? [] : nearest(key, Object.keys(definitionFields), 1);
    if (near === undefined) return [];
    const message = `${shownName(key)} is not known, and is kept aside: did you mean '${near}'?`;
    return [{ kind: 'warning', path: [name, key], message, server: name }];
  });
}
