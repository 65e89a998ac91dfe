/** What went wrong, as a stable word that a host can switch on. */
export type PoolErrorCode =
  /** Options or a definition are wrong; `data.problems` lists every problem. */
  | 'INVALID_OPTIONS'
  /** A feature that this version or platform does not have. */
  | 'NOT_SUPPORTED'
  /** No server of that name is defined (or it was removed while the caller waited). */
  | 'UNKNOWN_SERVER'
  /** `shutdown()` was called. */
  | 'POOL_CLOSED'
  /** `getServer()` reached its deadline; `cause` is the last failed start, if there was one. */
  | 'ACQUIRE_TIMEOUT'
  /** `getServer()` was given up: its signal, `releaseOwner()` or `releaseTenant()`; `cause` is the signal's reason. */
  | 'ACQUIRE_ABORTED'
  /** `maxWaiting` callers wait already. */
  | 'QUEUE_FULL'
  /** The command is in no folder of PATH, or no file. */
  | 'COMMAND_NOT_FOUND'
  /** The command exists, but may not be executed. */
  | 'COMMAND_NOT_EXECUTABLE'
  /** The working directory does not exist, or is no directory. */
  | 'CWD_NOT_FOUND'
  /** The operating system refused to start the process (E2BIG, EMFILE, EAGAIN, a missing interpreter, …). */
  | 'SPAWN_FAILED'
  /** `containment`, `rlimits`, `noNewPrivileges` or `cgroupLimits` ask for what this host, or its user, cannot do. */
  | 'CONTAINMENT_UNAVAILABLE'
  /** No answer to `initialize` within `startTimeout`. */
  | 'START_TIMEOUT'
  /** The server answered `initialize` with an error, or with something that is no result of it. */
  | 'HANDSHAKE_FAILED'
  /** The process ended: during its start, or under a lease. */
  | 'SERVER_EXITED'
  /** The pool ended the server on purpose (removed, redefined, restarted, shut down). */
  | 'SERVER_STOPPED'
  /** The server failed too often; it is not started again before the cooldown is over. `cause` is its last failure. */
  | 'BREAKER_OPEN'
  /** One message was larger than `maxMessageMB`. */
  | 'MESSAGE_TOO_LARGE'
  /** More than `maxBufferedMB` wait to be written to servers that do not read. */
  | 'BUFFER_FULL'
  /** A fault of this library, not of the server: the server is ended. Please report it with its `cause`. */
  | 'INTERNAL_ERROR'
  /** The lease was released; its transport is closed. */
  | 'LEASE_RELEASED'
  /** The lease was silent for `leaseIdleTimeout` while somebody waited, or was taken back by the host. */
  | 'LEASE_RECLAIMED';

/** What a {@link PoolError} knows about the server concerned. Never holds an env value. */
export interface PoolErrorData {
  /** Name of the definition. */
  readonly name?: string | undefined;
  readonly instanceId?: string | undefined;
  readonly leaseId?: string | undefined;
  readonly pid?: number | undefined;
  readonly exitCode?: number | null | undefined;
  readonly signal?: string | null | undefined;
  /** Set when the kernel killed a process of it for lack of memory; known where it has a cgroup with the memory controller. */
  readonly outOfMemory?: true | undefined;
  /** The last that the server wrote to stderr. */
  readonly stderrTail?: string | undefined;
  /** The operating system's word, such as `EMFILE`. */
  readonly errno?: string | undefined;
  /** How long was waited, in milliseconds. */
  readonly after?: number | undefined;
  /** What was waited for when time ran out. */
  readonly phase?: 'queue' | 'start' | undefined;
  /** Each problem of wrong options, one sentence each. */
  readonly problems?: readonly string[] | undefined;
}

/** The one error class of this library. The message says what failed, after how long, and what to do about it. */
export class PoolError extends Error {
  override readonly name = 'PoolError';
  readonly code: PoolErrorCode;
  readonly data: PoolErrorData;

  constructor(code: PoolErrorCode, message: string, data: PoolErrorData = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }
}

/** The operating system's error word, if `error` carries one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
