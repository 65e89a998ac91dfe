import { cleanupFields } from './call-options.js';
import { resolveEnvironment } from './environment.js';
import {
  count,
  deadline,
  duration,
  type Field,
  flag,
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

function group<F extends Readonly<Record<string, Field<unknown>>>>(_fields: F): Field<Given<F>> {
  return { default: {} as Given<F>, check: () => undefined };
}

/** How fast and how often a server that fails is started again, before its breaker opens. */
const restartFields = {
  /** Most failures within `window`; one more opens the breaker. Default 5. */
  maxRestarts: count(5, 0, 'unlimited'),
  /** How long a failure counts, ms. Default 60,000. */
  window: duration(60_000),
  /** The second failure in a row waits up to so long, each one after it up to twice as long, ms. Default 100. */
  minDelay: deadline(100),
  /** Longest wait, ms. Default 30,000. */
  maxDelay: deadline(30_000),
  /** After so long in use an instance is healthy: its failure is the first in a row, ms. Default 10,000. */
  stableAfter: duration(10_000),
  /** How long an open breaker refuses, before it lets one start through to see, ms. Default 30,000. */
  cooldown: duration(30_000),
};

/** How an instance may be used; each can be set per server, or for all of them in `defaults`. */
const policyFields = {
  /**
   * `shared`: many leases at once on one instance. `exclusive`: one lease at a time, kept idle between leases.
   * `dedicated`: one lease, then the process ends; messages pass unchanged. `auto` (default): exclusive.
   * See docs/sharing.md.
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
  /** Most leases at once on one shared instance. Default 1,000. */
  maxSessions: count(1_000, 1, 'unlimited'),
  /**
   * Most requests that an instance works on at once; the others wait, and its sessions take turns. 1 for a server that
   * loses data when several are under way. Default `Infinity`.
   */
  maxInFlight: count(Infinity, 1, 'unlimited'),
  /**
   * What becomes of leases whose process ends unasked. `restart` (default of shared servers): they stay, and their server
   * is started again. `close` (default of all others): they end, so that no client talks to a blank server unknowingly.
   */
  onCrash: { ...oneOf('restart', 'restart', 'close'), default: undefined } as Field<'restart' | 'close' | undefined>,
  /**
   * Tool calls that were under way when a process ended. `never` (default): they fail. `annotated`: those are sent again
   * once whose tool the server calls read-only or idempotent, if its client has listed the tools.
   */
  retryTools: oneOf('never', 'never', 'annotated'),
  /** How fast and how often a server that fails is started again. */
  restart: group(restartFields),
  /** The same as `sharing: 'shared'`. */
  sharedMemoryCache: flag(false),
  memoryLimitMB: later('memory limits come with the resource monitor'),
  restartOnMemoryLeak: later('leak detection comes with the resource monitor'),
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

/** How leases use instances. */
export type Sharing = 'shared' | 'exclusive' | 'dedicated';

/** A definition with every default filled in and its environment resolved. */
export interface ResolvedDefinition
  extends Omit<Resolved<typeof definitionFields>, 'maxInstances' | 'sharing' | 'onCrash' | 'restart'> {
  readonly name: string;
  readonly sharing: Sharing;
  readonly maxInstances: number;
  readonly onCrash: 'restart' | 'close';
  readonly restart: Resolved<typeof restartFields>;
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
  const sharing = readSharing(options, prefix, problems);
  const ownRestart = isPlainObject(options.restart)
    ? withDefaults(defaults.restart ?? {}, options.restart)
    : options.restart;
  const restart = readOptions(restartFields, ownRestart, `${prefix}restart`, problems);
  if (restart.minDelay > restart.maxDelay) {
    problems.wrong.push(
      `${prefix}restart.minDelay must not be above maxDelay (${restart.maxDelay}), got ${restart.minDelay}`,
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
    sharing,
    onCrash: options.onCrash ?? (sharing === 'shared' ? ('restart' as const) : ('close' as const)),
    restart,
    resolvedEnv,
  };
  return { ...definition, key: broken ? '' : keyOf(definition) };
}

/** Which way of sharing is meant, and what cannot stand beside it. */
function readSharing(
  { sharing, sharedMemoryCache, reuse, onCrash }: Resolved<typeof policyFields>,
  prefix: string,
  problems: Problems,
): Sharing {
  const meant = sharedMemoryCache && sharing === 'auto' ? 'shared' : sharing === 'auto' ? 'exclusive' : sharing;
  if (sharedMemoryCache && meant !== 'shared') {
    problems.wrong.push(`${prefix}sharedMemoryCache must be false where sharing is '${sharing}': it means 'shared'`);
  }
  if (meant === 'shared' && reuse === 'never') {
    problems.wrong.push(`${prefix}reuse must be 'tenant' or 'owner' where sharing is 'shared', got 'never'`);
  }
  if (meant === 'dedicated' && onCrash === 'restart') {
    problems.wrong.push(
      `${prefix}onCrash must be 'close' where sharing is 'dedicated': the pool does not know what its client has told the server`,
    );
  }
  return meant;
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
