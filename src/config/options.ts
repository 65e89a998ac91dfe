import { alertFields, type ResolvedAlerts } from './alert-options.js';
import { auditFields, type ResolvedAudit } from './audit-options.js';
import { cleanupFields } from './call-options.js';
import { containmentFields, type ResolvedContainment } from './containment-options.js';
import { type Dependency, dependsOn } from './depends-on.js';
import {
  about,
  absolutePath,
  environment,
  type Field,
  flag,
  type Given,
  label,
  nested,
  oneOf,
  optional,
  optionalString,
  plainObject,
  type Resolved,
  requiredString,
  stdioType,
  strings,
} from './fields.js';
import { guardianFields } from './guardian-options.js';
import type { ResolvedHealth } from './health-options.js';
import { limitFields, type ResolvedLimits } from './limit-options.js';
import { monitoringFields, type ResolvedMonitoring } from './monitoring-options.js';
import { count, deadline, duration, megabytes } from './number-fields.js';
import { packageFields } from './package-options.js';
import { policyFields, type restartFields } from './policy-fields.js';
import { type ResolvedServiceLevels, serviceLevelFields } from './service-level-options.js';
import { perTenant } from './variant-options.js';

/** One server. Field names as in the `mcpServers` configuration file. */
export const definitionFields = {
  /**
   * The program: a path, or a name that is looked up in the PATH of the server; never passed to a shell. Required. A start
   * fails with `COMMAND_NOT_FOUND` or `COMMAND_NOT_EXECUTABLE`.
   */
  command: about('a path, or a name that is looked up in PATH; never passed to a shell', requiredString()),
  /** Arguments of the program. Default: `[]`. */
  args: about('its arguments', strings()),
  /**
   * The servers that are started before it and stopped after it: an array of names, or an object with a condition for each. An
   * instance of each, of the same tenant, is kept as long as one of this server lives. None may be `dedicated`. Default: `[]`.
   */
  dependsOn: about(
    'the servers that start before it: names, or `{ name: { condition, required } }` ([order](sequences.md))',
    dependsOn(),
  ),
  /** Whether `pool.start()` starts it when the call names no servers. Default: true. */
  autoStart: about('whether `pool.start()` starts it when the call names no servers', flag(true)),
  /** Whether a `pool.start()` of which it is a part fails when it cannot be started, else it is `degraded`. Default: true. */
  required: about('whether `pool.start()` fails when it cannot be started', flag(true)),
  /**
   * What becomes of its instances when a server that they depend on has ended by itself. `restart`: they are ended before that one
   * is started again, and started after it. `hold`: they go on, and no new one is started until then. `ignore`: they go on. `stop`:
   * they are ended. Default: `ignore` where leases stay (`onCrash: 'restart'`, a shared server), and for a dependency with
   * `required: false`; else `restart`.
   */
  onDependencyExit: about(
    "`'restart'`, `'hold'`, `'ignore'`, `'stop'`; none: by the dependency ([which](sequences.md))",
    optional(oneOf('restart', 'restart', 'hold', 'ignore', 'stop')),
  ),
  /**
   * Variables of the server; they replace inherited ones. Values appear in no event, error or log. A function is called once for
   * each start, for keys that change; another function makes another server, its values do not. Default: `{}`.
   */
  env: about('its variables, or a function; values appear in no event, error or log', environment()),
  /** Working directory. A start fails with `CWD_NOT_FOUND` if it does not exist. Default: that of the host, at each start. */
  cwd: about("working directory; none: the host's", optionalString()),
  /**
   * A function that gives what differs for a tenant: `{ env, args, cwd }`, as of `getServer()`, which come before these; undefined
   * for nothing. Called at each `getServer()` and `warm()`, at `start()`, and for servers that others depend on, but not for
   * `minIdle`. Calls for which it gives other values get other instances. It must not return a promise. Default: none.
   */
  perTenant: about(
    '`(tenant) => ({ env, args, cwd })`: what differs for a tenant; before these, beneath what a call gives ([how](tenants.md))',
    perTenant(),
  ),
  /**
   * What messages of errors call the server, for end users: 1 to 100 characters, no control characters. Errors have it as
   * `data.label`, beside `data.name`. Another label replaces no process. Default: none; messages say the name.
   */
  label: about('what errors call it, for end users, instead of its name (1 to 100 characters)', label()),
  /** Transport, as in configuration files; only `stdio` (default) can be pooled. */
  type: about('as in configuration files', stdioType()),
  /**
   * What is done with a placeholder (`${TOKEN}`, `${env:TOKEN}`, or `$TOKEN` as a whole value) in `env`, `args`, `command` or
   * `cwd`, which nothing replaces: `refuse` (default), or `literal`, which passes it as it is. What may be code for a shell or
   * an interpreter, and a part of a longer value that names a variable of `env` or `inheritEnv`, is passed always.
   */
  placeholders: about(
    "a placeholder of another host in a value, which nothing replaces: `'literal'` passes it as it is",
    oneOf('refuse', 'refuse', 'literal'),
  ),
  ...policyFields,
};

export const poolFields = {
  /** The servers by name, in the shape of `mcpServers` of a configuration file. Default: `{}`. */
  servers: about('the servers, by name', plainObject() as Field<Readonly<Record<string, ServerDefinition>>>),
  /** Budgets of the pool. */
  limits: about('budgets of the pool', nested(limitFields)),
  /** Policy of every server that does not set its own. */
  defaults: about('policy of every server that does not set its own', nested(policyFields)),
  /** What servers cost, how often it is measured, and what is done about it. */
  monitoring: about('what servers cost, and what is done about it ([fields](monitoring.md))', nested(monitoringFields)),
  /** A file in which the pool writes what it does, and why. Default: none. */
  audit: about(
    '`{ path, maxMB: 10, keep: 5 }`: a file with a line of JSON for all that the pool does',
    nested(auditFields),
  ),
  /** How well servers serve: what is expected, and counted. */
  serviceLevels: about(
    'how well servers serve: what is expected ([fields](service-levels.md))',
    nested(serviceLevelFields),
  ),
  /** Which conditions are an alert, and what is called with them. */
  alerts: about(
    'which conditions are an alert, and what is called with them ([fields](alerts.md))',
    nested(alertFields),
  ),
  /** How process trees are ended. */
  cleanup: about('how process trees are ended', nested(cleanupFields)),
  /**
   * Most callers that wait for a release at once; the next one is rejected with `QUEUE_FULL`. One for which a tree starts, or
   * ends to make room, does not count. Default: 1,000.
   */
  maxWaiting: about('most callers that wait for a release at once', count(1_000, 0)),
  /** Deadline of `getServer()`, from the call to the lease, in milliseconds; then `ACQUIRE_TIMEOUT`. Default: 30,000. */
  acquireTimeout: about('deadline of `getServer()` for waiting, spawn and handshake together', deadline(30_000)),
  /**
   * A lease that is held longer is reported once, as `lease:leaked` with the stack of its `getServer()` call, in
   * milliseconds. Default: 0, off.
   */
  leakDetection: about('a lease held longer is reported with the stack of its `getServer()` call; 0: off', duration(0)),
  /** Most bytes that wait to be written to all servers of the pool, in MB; then `BUFFER_FULL`. Default: 256. */
  maxBufferedMB: about('most data that waits to be written to servers', megabytes(256)),
  /**
   * Whether SIGINT, SIGTERM and SIGHUP shut the pool down (a second one as an emergency). Then the signal is raised again,
   * so that the host ends as it would have. As process 1, which ignores a raised signal, the host exits with 128 + its
   * number. `NOT_SUPPORTED` in a worker thread, which gets no signals. Default: false; the host calls `shutdown()` itself.
   */
  handleSignals: about('SIGINT, SIGTERM and SIGHUP shut down (twice: at once), then end the host', flag(false), {
    inFile: false,
  }),
  /**
   * Time after which a graceful `shutdown()` or `endAll()` becomes an emergency, in milliseconds, unless the call says another.
   * It is that of `handleSignals`, too. Default: 30,000.
   */
  shutdownTimeout: about('a shutdown that takes longer becomes an emergency', deadline(30_000)),
  /** The process that ends the servers when the host is killed. */
  guardian: about(
    'the process that ends the servers of a killed host ([fields](termination.md))',
    nested(guardianFields),
  ),
  /** `containment` of every server that does not set its own, and has none in `defaults`. Default: `auto`. */
  containment: containmentFields.containment,
  /** `resolvePackages` of every server that does not set its own, and has none in `defaults`. Default: false. */
  resolvePackages: packageFields.resolvePackages,
  /** The same for `refreshAfter`, in milliseconds. Default: 86,400,000. */
  refreshAfter: packageFields.refreshAfter,
  /**
   * Linux: absolute path of the cgroup (v2) in which those of the servers are made. `cgroupLimits` need one that holds no
   * processes itself. Default: the cgroup of the host, or of its systemd unit if that holds no processes itself.
   */
  cgroupParent: about(
    "Linux: absolute path of the cgroup in which those of the servers are made; none: the host's",
    absolutePath(),
  ),
};

/** One server: command, arguments, environment and policy. Durations are milliseconds, sizes MB (1,048,576 bytes). */
export type ServerDefinition = Given<typeof definitionFields>;

/** The policy of a server without its command, for `defaults`. */
export type ServerPolicy = Given<typeof policyFields>;

/** Options of `MCPServerPool` with named servers. */
export type PoolOptions = Given<typeof poolFields>;

/** Options of `MCPServerPool` for one server without a name: its definition and the options of the pool in one object. */
export type SingleServerOptions = ServerDefinition & Omit<PoolOptions, 'servers' | 'defaults'>;

/** How leases use instances. */
export type Sharing = 'shared' | 'exclusive' | 'dedicated';

/** A definition with every default filled in. What its processes get from the host is read at each start. */
export interface ResolvedDefinition
  extends Omit<
      Resolved<typeof definitionFields>,
      'dependsOn' | 'maxInstances' | 'sharing' | 'reuse' | 'onCrash' | 'restart' | 'health' | keyof ResolvedContainment
    >,
    ResolvedContainment {
  readonly name: string;
  /** As `dependsOn` says. */
  readonly dependencies: readonly Dependency[];
  readonly sharing: Sharing;
  readonly reuse: 'owner' | 'tenant' | 'never';
  readonly maxInstances: number;
  readonly onCrash: 'restart' | 'close';
  readonly restart: Resolved<typeof restartFields>;
  readonly health: ResolvedHealth;
}

export interface ResolvedPoolOptions
  extends Omit<
    Resolved<typeof poolFields>,
    'servers' | 'limits' | 'cleanup' | 'guardian' | 'monitoring' | 'audit' | 'alerts' | 'serviceLevels'
  > {
  readonly servers: ReadonlyMap<string, ResolvedDefinition>;
  readonly limits: ResolvedLimits;
  readonly cleanup: Resolved<typeof cleanupFields>;
  readonly guardian: Resolved<typeof guardianFields>;
  readonly monitoring: ResolvedMonitoring;
  readonly audit: ResolvedAudit;
  readonly serviceLevels: ResolvedServiceLevels;
  readonly alerts: ResolvedAlerts;
}
