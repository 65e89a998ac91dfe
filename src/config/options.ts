import { cleanupFields } from './call-options.js';
import { containmentFields, type ResolvedContainment } from './containment-options.js';
import {
  absolutePath,
  count,
  deadline,
  duration,
  type Field,
  flag,
  type Given,
  group,
  jsonObject,
  later,
  megabytes,
  oneOf,
  optional,
  optionalText,
  type Resolved,
  requiredText,
  textMap,
  texts,
  wireObject,
} from './option-table.js';

/** How fast and how often a server that fails is started again, before its breaker opens. */
export const restartFields = {
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
export const policyFields = {
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
  clientCapabilities: wireObject(),
  /** Most process trees of this server at once; `Infinity`: no cap. Default 3, or the caps of `limits` if they are lower. */
  maxInstances: optional(count(3, 1, 'unlimited')),
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
  onCrash: optional(oneOf('restart', 'restart', 'close')),
  /**
   * Tool calls that were under way when a process ended. `never` (default): they fail. `annotated`: those are sent again
   * once whose tool the server calls read-only or idempotent, if its client has listed the tools.
   */
  retryTools: oneOf('never', 'never', 'annotated'),
  /** How fast and how often a server that fails is started again. */
  restart: group(restartFields),
  /** The same as `sharing: 'shared'`. */
  sharedMemoryCache: flag(false),
  ...containmentFields,
  memoryLimitMB: later('memory limits come with the resource monitor'),
  restartOnMemoryLeak: later('leak detection comes with the resource monitor'),
};

/** One server, field names as in the `mcpServers` configuration file. */
export const definitionFields = {
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

export const limitFields = {
  /** Most process trees of the pool at once: starting, running, stopping and quarantined ones; `Infinity`: no cap. Default 15. */
  maxProcesses: count(15, 1, 'unlimited'),
  /** The same for each server. Default: no cap of its own. */
  maxProcessesPerServer: count(Infinity, 1, 'unlimited'),
  memoryLimitMB: later('memory limits come with the resource monitor'),
};

/** Who ends the servers when the host is killed; one for all pools of a host. */
export const guardianFields = {
  /** Whether a small process watches the host, and ends its servers when it is dead. Default true. */
  enabled: flag(true),
  /** Path of `dist/reaper.js` of this package; only a bundled host has to name it. */
  reaper: absolutePath(),
  /** Runs the reaper: a Node. Default: what runs the host; a host that is one executable file has to name it. */
  executable: absolutePath(),
  /**
   * Where hosts note that they live, for the next host to end what one has left that was killed together with its
   * guardian: they do it in a folder `mcp-server-pool` in this one, of this user alone. Default: the user's runtime
   * directory, else that for temporary files.
   */
  runtimeDirectory: absolutePath(),
};

export const poolFields = {
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
  /**
   * Whether SIGINT, SIGTERM and SIGHUP shut the pool down (a second one as an emergency), before they are raised again.
   * Default false: the host calls `shutdown()` from its own handlers. `NOT_SUPPORTED` in a worker thread, which no signal
   * reaches. As process 1, which the kernel keeps a signal from that is raised again, the host exits with 128 + its number.
   */
  handleSignals: flag(false),
  /** Who ends the servers when the host is killed. */
  guardian: group(guardianFields),
  /** `containment` of every server that neither sets its own nor finds one in `defaults`. Default `auto`. */
  containment: containmentFields.containment,
  /**
   * Linux: the cgroup (v2) below which those of the servers are made, as an absolute path. Default: that of the host, or the
   * systemd unit around it where that is free of processes. Limits of `cgroupLimits` need one without processes of its own.
   */
  cgroupParent: absolutePath(),
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
  extends Omit<
      Resolved<typeof definitionFields>,
      'maxInstances' | 'sharing' | 'onCrash' | 'restart' | keyof ResolvedContainment
    >,
    ResolvedContainment {
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

export interface ResolvedPoolOptions
  extends Omit<Resolved<typeof poolFields>, 'servers' | 'limits' | 'cleanup' | 'guardian'> {
  readonly servers: ReadonlyMap<string, ResolvedDefinition>;
  readonly limits: ResolvedLimits;
  readonly cleanup: Resolved<typeof cleanupFields>;
  readonly guardian: Resolved<typeof guardianFields>;
}
