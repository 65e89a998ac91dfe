import { constants } from 'node:os';
import type { PassThrough, Stream } from 'node:stream';
import { inspect } from 'node:util';
import { INHERITED, resolveEnvironment } from './config/environment.js';
import { type CleanupReport, type JsonRpcMessage, MCPServerPool, PoolError, type PooledTransport } from './index.js';
import { KeepAlive } from './runtime/keep-alive.js';
import { type Inspect, shown } from './runtime/shown.js';
import { type StdioCloseOptions, waits } from './stdio/close-options.js';
import type { StdioServerExit } from './stdio/exits.js';
import { OpenRequests } from './stdio/open-requests.js';
import { OwnServer, serverName } from './stdio/own-server.js';
import { definitionOf, type StdioServerParameters } from './stdio/parameters.js';
import { forwardStderr, stderrPipe, stderrSink } from './stdio/stderr.js';

export type { StdioCloseOptions, StdioServerExit, StdioServerParameters };

/** One start of the transport, until the process is proven dead. */
interface Run {
  readonly server: OwnServer;
  readonly keepAlive: KeepAlive;
  /** Undefined until the server can be used. */
  transport: PooledTransport | undefined;
  readonly requests: OpenRequests;
  /** `lost`: its connection has ended, its process not yet. `exited`: its process has exited. */
  state: 'open' | 'lost' | 'exited';
  /** Whether `onclose` was called for this run, is being called, or must not be called any more. */
  isClosed: boolean;
}

/**
 * The SDK's `StdioClientTransport` on the global pool (`MCPServerPool.global()`): a host changes one import line. For
 * clients of SDK v1 (1.16 and later) and v2.
 *
 * Differences: the whole process tree is ended; `close()` resolves when its death is proven; open requests of a lost server
 * are answered with an error; an unread stderr blocks no server. As with the SDK, a started transport keeps the host alive.
 */
export class StdioClientTransport {
  /**
   * Called once for each start: after `close()`, when the process is dead; else as soon as the process has exited, by itself
   * or because the pool ended it (a message that is too long, a closed stdout, `shutdown()`). Not called for a process that is still ending when the transport is started again.
   */
  onclose?: () => void;
  /**
   * Called with the error when a start fails, the server is lost, another handler throws, or processes could not be proven
   * dead.
   */
  onerror?: (error: Error) => void;
  /**
   * Called once for each process that ran, when it has exited: by itself or because it was ended, and before `onclose`. Not
   * called when nothing could be started. For hosts that show exit code and stderr: `onerror` is often replaced by clients.
   */
  onexit?: (exit: StdioServerExit) => void;
  /** Called with each message of the server. */
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  readonly #params: StdioServerParameters;
  #stderr: PassThrough | null;
  #run: Run | undefined;
  /** The run that was started last: the handlers belong to it. */
  #latest: Run | undefined;
  /** Resolves when all runs have ended: the tree of a crashed one may still be ending when the next is started. */
  #allEnded: Promise<void> = Promise.resolve();

  /** @throws PoolError `INVALID_OPTIONS` when the parameters cannot be read; others that are wrong are refused by `start()` */
  constructor(server: StdioServerParameters) {
    this.#params = server;
    this.#stderr = typed(() => stderrPipe(server.stderr));
  }

  /** The stderr of the server with `pipe` or `overlapped`, else null. It exists before the start, so that no byte is lost. */
  get stderr(): Stream | null {
    return this.#stderr;
  }

  /** Pid of the spawned process while the transport is started, else null. */
  get pid(): number | null {
    return this.#run?.server.pid ?? null;
  }

  /** What `JSON.stringify` writes, and `console.log` shows: no argument and no variable of the server. */
  toJSON(): object {
    return {
      server: this.#run?.server.name ?? serverName(this.#params),
      started: this.#run !== undefined,
      pid: this.pid,
    };
  }

  [inspect.custom](depth: number, options: object, show: Inspect): string {
    return shown('StdioClientTransport', this.toJSON(), depth, options, show);
  }

  /** Client v2 makes a second transport from these, to find out which protocol era the server speaks. */
  protected get _serverParams(): StdioServerParameters {
    return this.#params;
  }

  /**
   * Starts the server. May be called again when the transport has closed.
   * @throws PoolError `ALREADY_STARTED`, `COMMAND_NOT_FOUND`, `CWD_NOT_FOUND`, `SPAWN_FAILED` and others; `cause` is an error as Node throws it
   *   (`code: 'ENOENT'`) if there is an errno. `ACQUIRE_TIMEOUT` when the host has set a cap on the global pool.
   */
  async start(): Promise<void> {
    if (this.#run !== undefined) {
      // The words of the SDK: hosts look for them.
      throw new PoolError(
        'ALREADY_STARTED',
        'StdioClientTransport already started! If using Client class, note that connect() calls start() automatically.',
      );
    }
    const { sink, server } = typed(() => {
      const { stderr } = this.#params;
      if (this.#stderr?.writableEnded) this.#stderr = stderrPipe(stderr);
      const sink = stderrSink(stderr, this.#stderr);
      return {
        sink,
        server: new OwnServer(MCPServerPool.global(), definitionOf(this.#params), (exit) => this.#exited(run, exit)),
      };
    });
    const run: Run = {
      ...{ server, keepAlive: new KeepAlive(), requests: new OpenRequests() },
      ...{ state: 'open' as const, transport: undefined, isClosed: false },
    };
    this.#run = run;
    this.#latest = run;
    run.keepAlive.take();
    try {
      const starting = server.start();
      const earlier = this.#allEnded;
      this.#allEnded = this.#followToEnd(run).then(() => earlier);
      const lease = await starting;
      // In the turn in which the lease is given out: later, bytes of stderr could be lost.
      if (sink !== undefined) forwardStderr(lease.stderr, sink);
      await this.#open(run, lease.transport);
    } catch (error) {
      if (sink?.ends) sink.stream.end();
      const reason = withSystemError(error, this.#params.command);
      // Not after a `close()`: that is no error, and `onclose` is called when the process is dead.
      if (this.#run === run) {
        this.#report(reason);
        // A process that ran exits now: `onexit` comes first, and `onclose` when it is dead.
        if (server.pid !== undefined && run.state !== 'exited') this.#run = undefined;
        else this.#closed(run);
        server.end();
      }
      throw reason;
    }
  }

  /** Resolves when the operating system has accepted the message; rejects when the message cannot reach the server. */
  send(message: JsonRpcMessage, options?: unknown): Promise<void> {
    const run = this.#run;
    if (run?.transport === undefined) return Promise.reject(notConnected());
    run.requests.sent(message);
    return run.transport.send(message, options).catch((error) => {
      run.requests.refused(message);
      throw error;
    });
  }

  /**
   * Ends the server: its stdin is closed, then its tree gets SIGTERM, then SIGKILL. Never rejects.
   * @returns a promise that resolves when the whole tree is proven dead, or after `onerror` was called with the processes
   *   that could not be proven dead; with `wait: false` at once
   */
  async close(options?: StdioCloseOptions): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    // By its client: a release by the host would answer the open requests, which the SDK does in its own words.
    void run?.transport?.close();
    run?.server.end();
    if (waits(options)) return this.#allEnded;
    // `onclose` may never come, and would be late.
    for (const answer of run?.requests.fail() ?? []) this.#receive(answer);
  }

  /** Client v2 calls this, if the prototype has it, to end its second transport: no work of that process is lost. */
  protected _dispose(): Promise<void> {
    this.#run?.server.shortenGraces();
    return this.close();
  }

  async #open(run: Run, transport: PooledTransport): Promise<void> {
    transport.onmessage = (message, extra) => {
      run.requests.received(message);
      this.onmessage?.(message, extra);
    };
    transport.onerror = (error) => this.#report(error);
    // After a `close()` the process is still ending: then `#followToEnd` calls `onclose`.
    transport.onclose = () => {
      if (this.#run !== run) return;
      // The process may live on: `onclose` comes after `onexit`, as with the SDK.
      if (run.state === 'exited') this.#closed(run);
      else run.state = 'lost';
    };
    await transport.start();
    run.transport = transport;
  }

  /** Waits for the end of a run, and calls the handlers. Never rejects. */
  async #followToEnd(run: Run): Promise<void> {
    const report = await run.server.ended();
    run.keepAlive.drop();
    run.keepAlive.dispose();
    if (report?.confirmed === false) this.#report(unproven(report, this.#params.label));
    this.#closed(run);
  }

  #receive(message: JsonRpcMessage): void {
    try {
      this.onmessage?.(message);
    } catch (error) {
      this.#report(error);
    }
  }

  #exited(run: Run, { pid, exitCode, signal, stderrTail }: StdioServerExit): void {
    const wasLost = run.state === 'lost';
    run.state = 'exited';
    try {
      this.onexit?.({ pid, exitCode, signal, stderrTail });
    } catch (error) {
      this.#report(error);
    }
    if (wasLost && this.#run === run) this.#closed(run);
  }

  #closed(run: Run): void {
    if (this.#run === run) this.#run = undefined;
    if (run.isClosed) return;
    run.isClosed = true;
    // The same client may use the transport again, and would take this for the end of its new process.
    if (this.#latest !== run) return;
    try {
      this.onclose?.();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    try {
      this.onerror?.(error instanceof Error ? error : new Error(String(error)));
    } catch {
      // An error of `onerror` itself is dropped: there is no other handler for it.
    }
  }
}

/** @throws PoolError `INVALID_OPTIONS` when the parameters cannot be read, with what was thrown as its cause */
function typed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    // Not `instanceof`: the global pool may belong to another copy of this package.
    if (error instanceof Error && error.name === 'PoolError') throw error;
    const problem = 'the parameters of StdioClientTransport cannot be read: they are no object, or reading them throws';
    throw new PoolError('INVALID_OPTIONS', problem, { problems: [problem] }, error);
  }
}

/** Variables of the host that a server inherits. */
export const DEFAULT_INHERITED_ENV_VARS: string[] = [...INHERITED];

/** The variables of {@link DEFAULT_INHERITED_ENV_VARS} that are set in the host, with their values. */
export function getDefaultEnvironment(): Record<string, string> {
  return resolveEnvironment({}, []);
}

/**
 * The same error with the frames of the caller, and with a `cause` as Node throws it, for hosts that look for `ENOENT`. Other
 * than that of Node it has no arguments (`spawnargs`): they may be secret.
 */
function withSystemError(error: unknown, command: string): unknown {
  // Not `instanceof`: the global pool may belong to another copy of this package, with a class of its own.
  const { code, message, data, cause: own } = error as Partial<PoolError>;
  if (code === undefined || message === undefined) return error;
  if (data?.errno === undefined) return new PoolError(code, message, data, own);
  const errno = constants.errno[data.errno as keyof typeof constants.errno];
  const syscall = `spawn ${command}`;
  const cause = { code: data.errno, errno: errno === undefined ? undefined : -errno, syscall, path: command };
  return new PoolError(code, message, data, Object.assign(new Error(`${syscall} ${data.errno}`), cause));
}

/** The error of the SDK: the message of v1, the code of v2. */
function notConnected(): PoolError {
  return new PoolError('NOT_CONNECTED', 'Not connected');
}

function unproven({ name, pid, survivors }: CleanupReport, label: string | undefined): PoolError {
  const named = survivors.map((survivor) => `${survivor.pid} (${survivor.command})`).join(', ');
  const message = `server '${label ?? name}' was closed, but these of its processes could not be proven dead: ${named}; see 'server:quarantined' of MCPServerPool.global()`;
  return new PoolError('SERVER_STOPPED', message, { name, label, pid });
}
