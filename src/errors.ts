/** Code of a {@link PoolError}: a stable word that a host can switch on. What each means, and what to do: docs/errors.md. */
export type PoolErrorCode =
  /** Options or a definition are wrong; `data.problems` lists every problem. */
  | 'INVALID_OPTIONS'
  /** This version or this platform does not have the feature. */
  | 'NOT_SUPPORTED'
  /** No server with this name is defined, or it was removed while the caller waited. */
  | 'UNKNOWN_SERVER'
  /** `shutdown()` was called. */
  | 'POOL_CLOSED'
  /** `getServer()` reached its deadline; `cause` is the last failed start, if there was one. */
  | 'ACQUIRE_TIMEOUT'
  /** `getServer()` was cancelled by its signal, `releaseOwner()` or `releaseTenant()`; `cause` is the signal's reason. */
  | 'ACQUIRE_ABORTED'
  /** `waitFor()` saw no such event within its `timeout`. */
  | 'WAIT_TIMEOUT'
  /** `waitFor()` was cancelled by its signal; `cause` is the signal's reason. */
  | 'WAIT_ABORTED'
  /** `maxWaiting` callers are already waiting. */
  | 'QUEUE_FULL'
  /** The level of the pool (`monitoring.levels`) refuses the start of a new instance, or ended the server of the lease. */
  | 'OVERLOADED'
  /** The command is not a file, or is in no folder of PATH. */
  | 'COMMAND_NOT_FOUND'
  /** The command exists, but this user may not execute it. */
  | 'COMMAND_NOT_EXECUTABLE'
  /** The working directory does not exist, or is not a directory. */
  | 'CWD_NOT_FOUND'
  /** The operating system refused to start the process (E2BIG, EMFILE, EAGAIN, a missing interpreter, …). */
  | 'SPAWN_FAILED'
  /** `containment`, `rlimits`, `noNewPrivileges` or `cgroupLimits` ask for something that this host, or its user, cannot do. */
  | 'CONTAINMENT_UNAVAILABLE'
  /** The server did not answer `initialize` within `startTimeout`. */
  | 'START_TIMEOUT'
  /** The server answered `initialize` with an error, or with an invalid result. */
  | 'HANDSHAKE_FAILED'
  /** The process ended by itself: during its start, or under a lease. */
  | 'SERVER_EXITED'
  /** The pool ended the server on purpose: it was removed, redefined, restarted or shut down. */
  | 'SERVER_STOPPED'
  /**
   * What the call needs is not there now: the host lacks what `requires` asks for (`data.unmet`), `runRecoveryDrill()` has no
   * instance to break, or another drill is running. Nothing was started.
   */
  | 'REQUIREMENTS_UNMET'
  /** The server answered nothing any more (`giveUpGrace`, `health`), and was ended. */
  | 'SERVER_UNRESPONSIVE'
  /** The server failed too often, and is not started again before the cooldown is over; `cause` is its last failure. */
  | 'BREAKER_OPEN'
  /** `start()` of a transport that is started already; `client.connect()` starts it by itself. */
  | 'ALREADY_STARTED'
  /** `send()` of a transport that is not started, or closed. */
  | 'NOT_CONNECTED'
  /** The server wrote something to stdout that is no JSON-RPC message; it was skipped. Only for `onerror` of a transport. */
  | 'INVALID_MESSAGE'
  /** The server did not answer a request within `requestTimeout`; the request was cancelled. */
  | 'REQUEST_TIMEOUT'
  /** A message was longer than `maxMessageMB`. */
  | 'MESSAGE_TOO_LARGE'
  /** More than `maxBufferedMB` wait to be written to servers that do not read. */
  | 'BUFFER_FULL'
  /** A fault of this library, not of the server: the server is ended. Please report it with its `cause`. */
  | 'INTERNAL_ERROR'
  /**
   * The server used more memory or CPU time, or had more processes, than it may, and was ended: `data` has `option`, `value`
   * and `limit`.
   */
  | 'LIMIT_EXCEEDED'
  /** The folder of a lane cannot be made, read or written, or another user could reach into it: nothing was started. */
  | 'LANE_UNAVAILABLE'
  /** `run()` was called by a command that itself runs in this lane: it would wait for its own end. Nothing was started. */
  | 'LANE_NESTED'
  /** `run()` was cancelled while it waited, by its signal or by `shutdown()`: nothing was started. `cause` is the reason. */
  | 'LANE_ABORTED'
  /** A step of a sequence cannot be started: one that it needs is not up. `data.name` is that one, `cause` why. */
  | 'DEPENDENCY_FAILED'
  /** A function of a step of a sequence threw; `cause` is what it has thrown. */
  | 'STEP_FAILED'
  /** A step of a sequence has ended by itself. */
  | 'STEP_EXITED'
  /** A step of a sequence was not ready, or not stopped, in its time. */
  | 'STEP_TIMEOUT'
  /** The start of a sequence was not complete within its `timeout`. */
  | 'SEQUENCE_TIMEOUT'
  /** The start of a sequence was aborted: by its signal, whose reason is the `cause`, or by `stop()`. */
  | 'SEQUENCE_ABORTED'
  /** The lease was released; its transport is closed. */
  | 'LEASE_RELEASED'
  /** The lease was taken back: it was silent for `leaseIdleTimeout` while a caller waited, or a drain timeout was over. */
  | 'LEASE_RECLAIMED';

/** Details of a {@link PoolError}; what is not known is undefined. No field contains a value of `env`. */
export interface PoolErrorData {
  /** Name of the server, or id of the step. */
  readonly name?: string | undefined;
  /** The `label` of its definition, which the message says instead of its name; undefined when it has none. */
  readonly label?: string | undefined;
  /** The process tree, `mcp-<timestamp>-<sequence>`. */
  readonly instanceId?: string | undefined;
  /** As `PooledServer.id`. */
  readonly leaseId?: string | undefined;
  /** Of the process that was spawned. */
  readonly pid?: number | undefined;
  /** Null when a signal ended the process. */
  readonly exitCode?: number | null | undefined;
  /** Null when the process exited by itself. */
  readonly signal?: string | null | undefined;
  /**
   * Set when the kernel killed a process of the server because memory ran out. Known only for a server in a cgroup with the
   * memory controller.
   */
  readonly outOfMemory?: true | undefined;
  /** The end of what the server wrote to stderr, secrets of the definition hidden. */
  readonly stderrTail?: string | undefined;
  /**
   * The first that the server wrote to stdout and the pool dropped: lines that are no messages, and answers to no request. At
   * most 5, each with at most 200 characters, control characters as codes, secrets of the definition hidden.
   */
  readonly dropped?: readonly string[] | undefined;
  /** Name of the operating system's error, such as `EMFILE`. */
  readonly errno?: string | undefined;
  /** How long the caller or the pool waited, in milliseconds. */
  readonly after?: number | undefined;
  /** Whether the deadline passed while the caller waited in the queue, or during the start of its server. */
  readonly phase?: 'queue' | 'start' | undefined;
  /** The option of the limit that was exceeded, such as `memoryLimitMB`. */
  readonly option?: string | undefined;
  /** The level of the pool that refuses starts, or ends servers. */
  readonly level?: string | undefined;
  /** What was measured when a limit or a level was reached, and that limit or threshold: MB, percent of one core, or processes. */
  readonly value?: number | undefined;
  /** The limit, or the threshold of the level, in the unit of `value`. */
  readonly limit?: number | undefined;
  /** What of `requires` this host does not meet. */
  readonly unmet?: readonly UnmetRequirement[] | undefined;
  /** The problems of wrong options, one sentence each. */
  readonly problems?: readonly string[] | undefined;
}

/** A requirement of `requires` that this host does not meet. */
export interface UnmetRequirement {
  readonly requirement: 'freeMemoryMB' | 'maxLoad' | 'freeProcesses' | 'freeDiskMB';
  /** The path of `freeDiskMB`; undefined with the others. */
  readonly path?: string | undefined;
  /** What is required: MB, processes, or the highest load. */
  readonly required: number;
  /** What there is; undefined when it cannot be read. */
  readonly measured: number | undefined;
}

/**
 * The only error class of this library. The message says what failed, after how long, and what to do. To recognise an error
 * of another copy of this package, compare `name` and `code` instead of using `instanceof`.
 */
export class PoolError extends Error {
  override readonly name = 'PoolError';
  readonly code: PoolErrorCode;
  readonly data: PoolErrorData;

  constructor(code: PoolErrorCode, message: string, data: PoolErrorData = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }

  /** What `JSON.stringify` writes: name, code, message, data and cause, without the stack. */
  toJSON(): object {
    const { name, code, message, data, cause } = this;
    return { name, code, message, data, ...(cause === undefined ? {} : { cause: thrownAsJson(cause) }) };
  }
}

/** A server as errors name it. */
export interface ServerNames {
  readonly name: string;
  readonly label?: string | undefined;
  /** What is started, for messages. Default: `server`. */
  readonly kind?: 'server' | 'command' | undefined;
}

/** What a message calls a server: its label, since its name may be an internal id that says nothing to an end user. */
export function shownName({ name, label }: ServerNames): string {
  return label ?? name;
}

/** The beginning of a message about it. */
export function titleOf(names: ServerNames): string {
  return `${names.kind ?? 'server'} '${shownName(names)}'`;
}

/** What the data of an error have of it. */
export function namesOf({ name, label }: ServerNames): ServerNames {
  return label === undefined ? { name } : { name, label };
}

/** How many causes of causes are written as JSON: a chain of errors may be a circle. */
const MOST_CAUSES = 5;

/**
 * What was thrown, as JSON. It may be any value of a host, and hold secrets: of an error only name, code, message and causes
 * are shown, with the data of a {@link PoolError}; of another object or a function only the kind.
 */
export function thrownAsJson(thrown: unknown, most = MOST_CAUSES): unknown {
  if (typeof thrown === 'function') return 'a function';
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  try {
    if (!(thrown instanceof Error)) return 'an object';
    const { name, message, cause } = thrown;
    const data = thrown instanceof PoolError ? { data: thrown.data } : {};
    const chain = cause === undefined || most === 0 ? {} : { cause: thrownAsJson(cause, most - 1) };
    return { name: String(name), code: errorCode(thrown), message: String(message), ...data, ...chain };
  } catch {
    return 'an object that cannot be read';
  }
}

function errorCode(error: Error): string | number | undefined {
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' || typeof code === 'number' ? code : undefined;
}

/**
 * The same error with the frames of the code that runs now. The error of a call that has waited was made in a timer, or for
 * several callers: its own frames are those of the pool. Made where a call is awaited, the frames are those of its callers
 * ("zero-cost async stack traces" of V8), and nothing had to be kept while it waited.
 */
export function withFrames(error: unknown): unknown {
  return error instanceof PoolError ? new PoolError(error.code, error.message, error.data, error.cause) : error;
}

/** Rejects with the same error as `promise`, with the frames of those that await it: see {@link withFrames}. */
export async function rethrow<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw withFrames(error);
  }
}

/** The code of a system error, such as `ENOENT`; undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The message of what was thrown, which may be anything: even what cannot be written as a string. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error);
  } catch {
    return 'an error that cannot be read';
  }
}
