import { containmentFields } from './containment-options.js';
import { about, flag, nested, oneOf, optional, strings } from './fields.js';
import { handshakeFields } from './handshake-options.js';
import { healthFields, ownCheck } from './health-options.js';
import { count, deadline, duration, megabytes, noShorterOrNever } from './number-fields.js';
import { packageFields } from './package-options.js';
import { resourceFields } from './resource-options.js';

/**
 * How fast and how often a server that fails is started again, before its breaker opens.
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ for the random delays ("full jitter")
 */
export const restartFields = {
  /** Most failures within `window`; the next one opens the breaker. Default: 5. */
  maxRestarts: about(
    'largest number of failures within `window`; one more opens the breaker',
    count(5, 0, 'unlimited'),
  ),
  /** How long a failure counts, in milliseconds. Default: 60,000. */
  window: about('how long a failure counts', duration(60_000)),
  /**
   * Longest delay after the second failure in a row, in milliseconds; it doubles with each further failure. The first
   * failure has no delay. Default: 100.
   */
  minDelay: about(
    'after the first failure there is no delay; after the second in a row, a random one up to this',
    deadline(100),
  ),
  /** Longest delay of all, in milliseconds. Default: 30,000. */
  maxDelay: about('after each further failure the delay may be twice as long, up to this', deadline(30_000)),
  /** A failure of an instance that was usable for this time is the first in a row again, in milliseconds. Default: 10,000. */
  stableAfter: about('after this time in use, the next failure is the first in a row again', duration(10_000)),
  /**
   * How long an open breaker refuses, in milliseconds; then it lets one start through as a test. `Infinity`: until
   * `resetBreaker()`, `restart()` or `updateServer()`. Default: 30,000.
   */
  cooldown: about('how long an open breaker refuses; `Infinity`: until it is reset', duration(30_000)),
};

/** The default of `maxInstances`, unless a cap of the pool is lower. */
export const DEFAULT_MAX_INSTANCES = 3;

/** How an instance may be used. Each option can be set per server, or for all servers in `defaults`. */
export const policyFields = {
  /**
   * How leases use instances. Default: `auto`. Which mode fits which server: docs/sharing.md.
   *
   * - `shared`: many leases at once on one instance.
   * - `exclusive`: one lease at a time; the instance stays idle between leases.
   * - `dedicated`: one lease, then the process ends; messages pass unchanged.
   * - `auto`: the same as `exclusive`.
   */
  sharing: about(
    "`'shared'`, `'exclusive'`, `'dedicated'`; auto: exclusive ([which](sharing.md))",
    oneOf('auto', 'auto', 'exclusive', 'dedicated', 'shared'),
  ),
  /**
   * Which leases may use an instance that has served one already. An instance that has served none is free for any. Default:
   * `owner`, of shared servers `tenant`.
   *
   * - `owner`: those of the same tenant and owner. Leases without an owner share theirs.
   * - `tenant`: all of the same tenant; for servers that keep nothing of a client, since the next one would see it.
   * - `never`: none.
   */
  reuse: about(
    "which lease may use a used instance: `'owner'`, `'tenant'` (shared: this), `'never'`",
    optional(oneOf('owner', 'owner', 'tenant', 'never')),
    { shownDefault: "`'owner'`" },
  ),
  /** Protocol era. This version supports `legacy` (default): protocols with `initialize`, up to 2025-11-25; else `NOT_SUPPORTED`. */
  era: about('protocol era; this version supports no other', oneOf('legacy', 'legacy', 'modern', 'auto')),
  ...handshakeFields,
  /** Most process trees of this server at once; `Infinity`: only `limits` apply. Default: 3, or a lower cap of `limits`. */
  maxInstances: about(
    'most trees of this server, or the caps of `limits` if lower; `Infinity`: those alone',
    optional(count(DEFAULT_MAX_INSTANCES, 1, 'unlimited')),
    { shownDefault: '`3`' },
  ),
  /**
   * Most process trees of this server for one tenant, all owners and values together. Calls without a tenant are limited by
   * `maxInstances` alone. Default: `Infinity`.
   */
  maxInstancesPerTenant: about(
    'most trees of this server for one tenant, all owners and values together ([how many](tenants.md))',
    count(Infinity, 1, 'unlimited'),
  ),
  /**
   * Idle instances that are kept ready, for the next caller of any tenant or owner: those that have served no lease; of a
   * shared server without `reuse: 'owner'` also those of calls without a tenant. Default: 0.
   */
  minIdle: about('idle instances that are kept ready, for the next caller of any tenant or owner', count(0, 0)),
  /** Time after which an idle instance ends, in milliseconds; `Infinity`: never. Default: 300,000. */
  idleTimeout: about('an idle instance ends after this time', duration(300_000)),
  /**
   * A lease that was silent for this time is taken back (`LEASE_RECLAIMED`) when another caller waits for it, in
   * milliseconds; `Infinity`: never. A lease with an open request is not silent. Default: 1,800,000.
   */
  leaseIdleTimeout: about(
    'a lease that was silent for this time is taken back when a caller waits for it',
    duration(1_800_000),
  ),
  /** Number of leases after which an instance ends. Default: `Infinity`. */
  maxUses: about('an instance ends after this number of leases', count(Infinity, 1, 'unlimited')),
  /**
   * Age at which an instance ends when it is free, in milliseconds from when it could be used. Up to a tenth is subtracted at
   * random, so that not all instances end at once. With 0 each instance serves one lease. Default: `Infinity`.
   */
  maxLifetime: about(
    'an instance ends at this age, minus up to a tenth at random, when it is free',
    duration(Infinity),
  ),
  /** Longest time from spawn to the answer to `initialize`, in milliseconds; then `START_TIMEOUT`. Default: 60,000. */
  startTimeout: about(
    'longest time from spawn to the answer to `initialize`; it starts on without a caller',
    deadline(60_000),
  ),
  /**
   * How long a server may take to exit after its stdin was closed, in milliseconds; then SIGTERM. Default: 2,000.
   * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#shutdown
   */
  eofGrace: about('time to exit after stdin was closed, before SIGTERM', duration(2_000)),
  /** How long a server may take to exit after SIGTERM, in milliseconds; then SIGKILL. Default: 5,000. */
  termGrace: about('time to exit after SIGTERM, before SIGKILL', duration(5_000)),
  /**
   * Longest message of a server, in MB; a longer one ends the instance (`MESSAGE_TOO_LARGE`). Default: 64. At most 511,
   * the longest string of Node.
   */
  maxMessageMB: about('longest message; a longer one ends the instance that wrote it', megabytes(64, 511)),
  /**
   * Variables that the server inherits from the host, in addition to HOME, LOGNAME, PATH, SHELL, TERM and USER. Their values
   * are read at each start. Default: `[]`.
   */
  inheritEnv: about('what it inherits beside HOME, LOGNAME, PATH, SHELL, TERM, USER; read at each start', strings()),
  /**
   * How long a server may answer nothing after a request was given up (cancelled, or its client is gone), in milliseconds.
   * Then the server gets a ping, and ends as after a crash (`onCrash`) when it does not answer within this time, too. An
   * exclusive server also gets a ping at the end of its lease: the next lease of the same tenant and owner gets it when it has
   * answered within this time, else another process; until then, any other lease gets another process. Default: 5,000.
   */
  giveUpGrace: about('time to answer something after a request was given up ([what for](sharing.md))', deadline(5_000)),
  /**
   * Longest time that a server may take for one request of a client, in milliseconds, at least 100, from when it was
   * written to the server. Then the request is cancelled, answered with the JSON-RPC error -32001 (`data.reason`: `REQUEST_TIMEOUT`), and counts as
   * given up (`giveUpGrace`). Default: `Infinity`.
   */
  requestTimeout: about(
    'longest time for one request, at least 100; then it is cancelled ([error](health.md))',
    noShorterOrNever(Infinity, 100),
  ),
  /** Most leases at once on one shared instance. Default: 1,000. */
  maxSessions: about('most leases at once on one shared instance', count(1_000, 1, 'unlimited')),
  /**
   * Most requests that an instance works on at once; the others wait, and its sessions take turns. Set 1 for a server that
   * loses data when it works on several, such as server-memory. Default: `Infinity`.
   */
  maxInFlight: about(
    'most requests that an instance works on at once; sessions take turns',
    count(Infinity, 1, 'unlimited'),
  ),
  /**
   * What happens to leases when their process exits without being asked to. `restart` (default of shared servers): they stay,
   * and the server is started again. `close` (default of all others): they end, since the client would not know that the
   * new process has lost its state. `restart` is refused for dedicated servers.
   */
  onCrash: about(
    "leases of a lost process: `'restart'` (shared servers) or `'close'` (others)",
    optional(oneOf('restart', 'restart', 'close')),
  ),
  /**
   * What happens to tool calls in flight when their process ends. `never` (default): they fail. `annotated`: a call is sent
   * again, once, if the server declares its tool read-only or idempotent, and the client has listed the tools.
   * @see https://modelcontextprotocol.io/specification/2025-11-25/schema#toolannotations
   */
  retryTools: about(
    "`'annotated'`: repeat lost calls of read-only and idempotent tools",
    oneOf('never', 'never', 'annotated'),
  ),
  /** How fast and how often a server that fails is started again. */
  restart: about('how fast and how often it is started again ([fields](sharing.md))', nested(restartFields)),
  /** How it is found out whether the server answers, and what is done when it does not. */
  health: about('whether it answers, and what is done when it does not ([fields](health.md))', nested(healthFields)),
  /**
   * What must have passed before an instance is ready, after its handshake: a function as of `health.check`, or `{ url }`. It is
   * tried again and again until then, or until `startTimeout` is over. Default: none.
   */
  readyCheck: about('what must pass before a server is ready: `{ url }`, or a function', ownCheck()),
  /** The same as `sharing: 'shared'`. Default: false. */
  sharedMemoryCache: about("the same as `sharing: 'shared'`", flag(false)),
  ...containmentFields,
  ...resourceFields,
  ...packageFields,
};
