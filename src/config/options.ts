import { cleanupFields } from './call-options.js';
import { resolveEnvironment } from './environment.js';
import {
  count,
  deadline,
  duration,
  type Field,
  type Given,
  isPlainObject,
  jsonObject,
  later,
  megabytes,
  oneOf,
  optionalText,
  type Problems,
  type Resolved,
  readOptions,
  refuse,
  requiredText,
  textMap,
  texts,
} from './option-table.js';

/** How an instance may be used; each can be set per server, or for all of them in `defaults`. */
const policyFields = {
  /**
   * `exclusive`: one lease at a time, kept idle between leases. `dedicated`: one lease, then the process ends; messages
   * pass unchanged. `auto` (default): exclusive. `shared` is refused by this version.
   */
  sharing: oneOf('auto', 'auto', 'exclusive', 'dedicated', 'shared'),
  /** Who may get an idle exclusive instance: the same tenant (default), the same tenant and owner, nobody. */
  reuse: oneOf('tenant', 'tenant', 'owner', 'never'),
  /** Protocol era. Only `legacy` (with `initialize`, up to 2025-11-25) is supported by this version. */
  era: oneOf('legacy', 'legacy', 'modern', 'auto'),
  /** The client capabilities that the pool declares to the server when it initializes it. Default: none. */
  clientCapabilities: jsonObject(),
  /** Most process trees of this server at once; `Infinity`: no cap. Default 3, or the caps of `limits` if they are lower. */
  maxInstances: { ...count(3, 1, 'unlimited'), default: undefined } as Field<number | undefined>,
  /** Instances kept ready without a caller asking (for calls without a tenant). Default 0. */
  minIdle: count(0, 0),
  /** An idle instance ends after this time, ms. Default 300,000; `Infinity`: never. */
  idleTimeout: duration(300_000),
  /** A lease silent for this time is taken back when somebody waits for it, ms. Default 1,800,000; `Infinity`: never. */
  leaseIdleTimeout: duration(1_800_000),
  /** An instance ends after so many leases. Default `Infinity`. */
  maxUses: count(Infinity, 1, 'unlimited'),
  /** An instance ends when it is this old and free, ms; up to a tenth is taken off at random, so that not all end at once. Default `Infinity`. */
  maxLifetime: duration(Infinity),
  /** Longest time from spawn to the answer to `initialize`, ms. Default 60,000. */
  startTimeout: deadline(60_000),
  /** How long a server may take to exit after its stdin was closed, before SIGTERM, ms. Default 2,000. */
  eofGrace: duration(2_000),
  /** How long a server may take to exit after SIGTERM, before SIGKILL, ms. Default 5,000. */
  termGrace: duration(5_000),
  /** A longer message ends the instance that wrote it, MB. Default 64, at most 511: Node has no longer texts. */
  maxMessageMB: megabytes(64, 511),
  /** Variables that the server inherits from the host beside HOME, LOGNAME, PATH, SHELL, TERM and USER. */
  inheritEnv: texts(),
  memoryLimitMB: later('memory limits come with the resource monitor'),
  restartOnMemoryLeak: later('leak detection comes with the resource monitor'),
  maxInFlight: later('it comes with shared instances'),
  maxSessions: later('it comes with shared instances'),
  sharedMemoryCache: later("it is an alias of sharing: 'shared', which comes with shared instances"),
  onCrash: later('it comes with failover; until then a crash closes the lease'),
};

/** One server, field names as in the `mcpServers` configuration file. */
const definitionFields = {
  /** The program: a path, or a name that is looked up in PATH. Never passed through a shell. */
  command: requiredText(),
  /** Its arguments. */
  args: texts(),
  /** Variables for the server, over the inherited ones. Values appear in no event, error or log. */
  env: textMap(),
  /** Working directory. Default: the host's. */
  cwd: optionalText(),
  /** As in configuration files; only `stdio` servers can be pooled. */
  type: oneOf('stdio', 'stdio'),
  ...policyFields,
};

const limitFields = {
  /** Most process trees of the pool at once: starting, running, stopping and quarantined ones; `Infinity`: no cap. Default 15. */
  maxProcesses: count(15, 1, 'unlimited'),
  /** The same for each server. Default: no cap of its own. */
  maxProcessesPerServer: count(Infinity, 1, 'unlimited'),
  memoryLimitMB: later('memory limits come with the resource monitor'),
};

function group<F extends Readonly<Record<string, Field<unknown>>>>(_fields: F): Field<Given<F>> {
  return { default: {} as Given<F>, check: () => undefined };
}

const poolFields = {
  /** The servers by name, the same shape as `mcpServers` in a configuration file. */
  servers: jsonObject() as Field<Readonly<Record<string, ServerDefinition>>>,
  /** Hard budgets of the pool. */
  limits: group(limitFields),
  /** Policy for every server that does not set its own. */
  defaults: group(policyFields),
  /** How process trees are ended. */
  cleanup: group(cleanupFields),
  /** Most callers that wait at once; one more is rejected with `QUEUE_FULL`. Default 1,000. */
  maxWaiting: count(1_000, 0),
  /** Deadline of `getServer()` over waiting, spawn and handshake, ms. Default 30,000. */
  acquireTimeout: deadline(30_000),
  /** A lease held longer than this is reported once as `lease:leaked` with the borrower's stack, ms. Default 0: off. */
  leakDetection: duration(0),
  /** Most bytes that wait to be written to servers, for the pool, MB. Default 256. */
  maxBufferedMB: megabytes(256),
  handleSignals: later('signal handling comes with orphan protection; call shutdown() from your own handler'),
  containment: later('it comes with orphan protection'),
};

/** A server: command, arguments, environment and policy. Durations are milliseconds. */
export type ServerDefinition = Given<typeof definitionFields>;

/** The policy of a server without its command, for `defaults`. */
export type ServerPolicy = Given<typeof policyFields>;

/** Options of `MCPServerPool` with named servers. */
export type PoolOptions = Given<typeof poolFields>;

/** Options of `MCPServerPool` for one server without a name: its definition and the pool's options in one object. */
export type SingleServerOptions = ServerDefinition & Omit<PoolOptions, 'servers' | 'defaults'>;

/** A definition with every default filled in and its environment resolved. */
export interface ResolvedDefinition extends Omit<Resolved<typeof definitionFields>, 'maxInstances' | 'sharing'> {
  readonly name: string;
  readonly sharing: 'exclusive' | 'dedicated';
  readonly maxInstances: number;
  /** The whole environment of the process. */
  readonly resolvedEnv: Readonly<Record<string, string>>;
  /** What makes two processes of this server interchangeable. Holds env values: never to be shown. */
  readonly key: string;
}

export type ResolvedLimits = Resolved<typeof limitFields>;

export interface ResolvedPoolOptions extends Omit<Resolved<typeof poolFields>, 'servers' | 'limits' | 'cleanup'> {
  readonly servers: ReadonlyMap<string, ResolvedDefinition>;
  readonly limits: ResolvedLimits;
  readonly cleanup: Resolved<typeof cleanupFields>;
}

/** Name of the server in the one-definition shorthand. */
const SINGLE_SERVER = 'default';

/**
 * Checks all options of a pool at once.
 * @throws PoolError `INVALID_OPTIONS`, or `NOT_SUPPORTED` when nothing else is wrong, that lists every problem.
 */
export function resolvePoolOptions(given: PoolOptions | SingleServerOptions): ResolvedPoolOptions {
  const problems: Problems = { wrong: [], unsupported: [] };
  const { pool, servers } = splitShorthand(given, problems);
  const options = readOptions(poolFields, pool, '', problems, isShorthand(given) ? Object.keys(definitionFields) : []);
  const limits = readOptions(limitFields, options.limits, 'limits', problems);
  const cleanup = readOptions(cleanupFields, options.cleanup, 'cleanup', problems);
  const defaults = readOptions(policyFields, options.defaults, 'defaults', problems);
  if (limits.maxProcessesPerServer !== Infinity && limits.maxProcessesPerServer > limits.maxProcesses) {
    problems.wrong.push(
      `limits.maxProcessesPerServer must not be above limits.maxProcesses (${limits.maxProcesses}), got ${limits.maxProcessesPerServer}`,
    );
  }
  const resolved = new Map<string, ResolvedDefinition>();
  for (const [name, definition] of servers) {
    const path = isShorthand(given) ? '' : `servers.${name}`;
    resolved.set(name, readDefinition(name, definition, path, defaults, limits, problems));
  }
  const minimum = [...resolved.values()].reduce((sum, definition) => sum + definition.minIdle, 0);
  if (minimum > limits.maxProcesses) {
    problems.wrong.push(
      `the minIdle of all servers (${minimum}) must not be above limits.maxProcesses (${limits.maxProcesses})`,
    );
  }
  refuse(problems, 'the options of MCPServerPool');
  return { ...options, servers: resolved, defaults, limits, cleanup };
}

/**
 * Checks one definition.
 * @throws PoolError `INVALID_OPTIONS` or `NOT_SUPPORTED` that lists every problem.
 */
export function resolveDefinition(
  name: string,
  given: ServerDefinition,
  pool: Pick<ResolvedPoolOptions, 'defaults' | 'limits'>,
): ResolvedDefinition {
  const problems: Problems = { wrong: [], unsupported: [] };
  const definition = readDefinition(name, given, name, pool.defaults, pool.limits, problems);
  refuse(problems, `the definition of server '${name}'`);
  return definition;
}

/** The shorthand mixes one definition with the pool's options: tells them apart by the tables. */
function splitShorthand(given: unknown, problems: Problems): { pool: unknown; servers: [string, unknown][] } {
  if (!isShorthand(given)) {
    const servers = isPlainObject(given) && isPlainObject(given.servers) ? given.servers : {};
    return { pool: given, servers: Object.entries(servers) };
  }
  for (const key of ['servers', 'defaults']) {
    if (given[key] !== undefined)
      problems.wrong.push(`${key} cannot stand beside command; put the command into servers`);
  }
  const entries = Object.entries(given);
  const isDefinition = ([key]: [string, unknown]) => Object.hasOwn(definitionFields, key);
  return {
    pool: Object.fromEntries(entries.filter((entry) => !isDefinition(entry))),
    servers: [[SINGLE_SERVER, Object.fromEntries(entries.filter(isDefinition))]],
  };
}

function isShorthand(given: unknown): given is Record<string, unknown> {
  return isPlainObject(given) && Object.hasOwn(given, 'command');
}

function readDefinition(
  name: string,
  given: unknown,
  path: string,
  defaults: ServerPolicy,
  limits: ResolvedLimits,
  problems: Problems,
): ResolvedDefinition {
  if (typeof name !== 'string' || name.trim() === '' || name.includes('\0')) {
    problems.wrong.push('the name of a server must not be empty, and have no NUL characters');
  }
  const merged = isPlainObject(given) ? withDefaults(defaults, given) : given;
  const options = readOptions(definitionFields, merged, path, problems);
  const prefix = path === '' ? '' : `${path}.`;
  const cap = Math.min(limits.maxProcesses, limits.maxProcessesPerServer);
  const maxInstances = options.maxInstances ?? Math.min(3, cap);
  if (maxInstances > cap) {
    problems.wrong.push(
      `${prefix}maxInstances must not be above ${cap}, which limits.${
        cap === limits.maxProcesses ? 'maxProcesses' : 'maxProcessesPerServer'
      } allows, got ${maxInstances}`,
    );
  }
  if (options.minIdle > maxInstances) {
    problems.wrong.push(`${prefix}minIdle must not be above maxInstances (${maxInstances}), got ${options.minIdle}`);
  }
  if (options.sharing === 'shared') {
    problems.unsupported.push(
      `${prefix}sharing: 'shared' is not supported by this version; use 'exclusive' (one process for each lease) until it comes`,
    );
  }
  if (options.era !== 'legacy') {
    problems.unsupported.push(`${prefix}era: '${options.era}' is not supported by this version; use 'legacy'`);
  }
  const broken = problems.wrong.length > 0;
  const resolvedEnv = broken ? {} : resolveEnvironment(options.env, options.inheritEnv);
  const definition = {
    ...options,
    name,
    // Copies: what the host does to its own objects later must not change a definition.
    args: [...options.args],
    clientCapabilities: broken ? {} : structuredClone(options.clientCapabilities),
    maxInstances,
    sharing: options.sharing === 'dedicated' ? ('dedicated' as const) : ('exclusive' as const),
    resolvedEnv,
  };
  return { ...definition, key: broken ? '' : keyOf(definition) };
}

/** A value of `undefined` means "not given", in `defaults` as well as in a definition. */
function withDefaults(defaults: object, given: object): object {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(set) };
}

/** Instances are interchangeable only if everything that the process can see of its start is the same. */
function keyOf(definition: Omit<ResolvedDefinition, 'key'>): string {
  const { name, command, args, cwd, era, sharing, reuse, clientCapabilities, resolvedEnv } = definition;
  const env = Object.entries(resolvedEnv).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([name, command, args, cwd ?? null, era, sharing, reuse, clientCapabilities, env]);
}
