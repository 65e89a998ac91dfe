import { constants } from 'node:os';
import type { PassThrough, Stream } from 'node:stream';
import { INHERITED, resolveEnvironment } from './config/environment.js';
import { type CleanupReport, type JsonRpcMessage, MCPServerPool, PoolError, type PooledTransport } from './index.js';
import { KeepAlive } from './runtime/keep-alive.js';
import { OwnServer } from './stdio/own-server.js';
import { forwardStderr, type StderrOption, stderrPipe, stderrSink } from './stdio/stderr.js';

const MB = 1_048_576;
/** The most that `maxMessageMB` may be. */
const LARGEST_MESSAGE_MB = 511;

/** What the SDK's `StdioClientTransport` takes, and the options of the pool that matter for one server. */
export interface StdioServerParameters {
  /** The program: a path, or a name that is looked up in PATH. */
  command: string;
  /** Its arguments. */
  args?: string[] | undefined;
  /** Its variables, over those of {@link getDefaultEnvironment}. */
  env?: Record<string, string> | undefined;
  /** Working directory. Default: the host's. */
  cwd?: string | undefined;
  /**
   * `inherit` (default) passes stderr on to the host's, byte by byte; `pipe` and `overlapped` offer it as
   * {@link StdioClientTransport.stderr}; `ignore` drops it. A stream, or the number of a descriptor, gets it.
   */
  stderr?: StderrOption | undefined;
  /** Largest message, bytes, as in the SDK. Default: `maxMessageMB` of the pool, 64 MB. */
  maxBufferSize?: number | undefined;
  /** The same in MB; goes before `maxBufferSize`. */
  maxMessageMB?: number | undefined;
  /** How long the server may take to exit after its stdin was closed, before SIGTERM, ms. Default 2,000. */
  eofGrace?: number | undefined;
  /** How long its tree may take to exit after SIGTERM, before SIGKILL, ms. Default 5,000. */
  termGrace?: number | undefined;
}

/** Variables of the host that a server inherits. */
export const DEFAULT_INHERITED_ENV_VARS: string[] = [...INHERITED];

/** What a server inherits of the host's environment: {@link DEFAULT_INHERITED_ENV_VARS}, as far as they are set. */
export function getDefaultEnvironment(): Record<string, string> {
  return resolveEnvironment({}, []);
}

/** From a start to the proof that its process is gone. */
interface Run {
  readonly server: OwnServer;
  readonly hold: KeepAlive;
  transport: PooledTransport | undefined;
  /** Whether `onclose` was called for it, or is about to be. */
  over: boolean;
}

/**
 * The SDK's `StdioClientTransport` over the global pool (`MCPServerPool.global()`): a host changes one import line. For
 * clients of SDK v1 (1.16 and later) and v2.
 *
 * Other than there, the whole process tree is ended, `close()` resolves when that is proven, a lost server answers its open
 * requests, and an unread stderr blocks no server. While it is started it holds the host open, as a child process does.
 */
export class StdioClientTransport {
  /** Called once for each start: after `close()`, when the process is gone, or at once when it exits by itself. */
  onclose?: () => void;
  /** Called with what goes wrong: why it could not be started, or ended unasked, and what a handler threw. */
  onerror?: (error: Error) => void;
  /** Called with each message of the server. */
  onmessage?: (message: JsonRpcMessage, extra?: unknown) => void;
  readonly #params: StdioServerParameters;
  #stderr: PassThrough | null;
  #run: Run | undefined;
  /** Resolves when the processes of all runs are gone: one that crashed may still be ending when the next is started. */
  #gone: Promise<void> = Promise.resolve();

  constructor(server: StdioServerParameters) {
    this.#params = server;
    this.#stderr = stderrPipe(server.stderr);
  }

  /** The server's stderr, if that is `pipe` or `overlapped`: there at once, so that a reader misses nothing. */
  get stderr(): Stream | null {
    return this.#stderr;
  }

  /** Of the process that was spawned: while it is started, else null. */
  get pid(): number | null {
    return this.#run?.server.pid ?? null;
  }

  /** What client v2 starts a second transport from, to try out what a server speaks. */
  protected get _serverParams(): StdioServerParameters {
    return this.#params;
  }

  /**
   * Starts the server. May be called again after it was closed.
   * @throws PoolError `COMMAND_NOT_FOUND`, `CWD_NOT_FOUND`, `SPAWN_FAILED`, …, with Node's own error (`code: 'ENOENT'`) as
   *   `cause` where the operating system has a word for it; `ACQUIRE_TIMEOUT` when the host has set a cap on the global pool
   */
  async start(): Promise<void> {
    if (this.#run !== undefined) {
      throw new Error(
        'StdioClientTransport already started! If using Client class, note that connect() calls start() automatically.',
      );
    }
    const { stderr } = this.#params;
    if (this.#stderr?.writableEnded) this.#stderr = stderrPipe(stderr);
    const sink = stderrSink(stderr, this.#stderr);
    const server = new OwnServer(MCPServerPool.global(), definitionOf(this.#params));
    const run: Run = { server, hold: new KeepAlive(), transport: undefined, over: false };
    this.#run = run;
    run.hold.take();
    try {
      const starting = server.start();
      const earlier = this.#gone;
      this.#gone = this.#whenGone(run).then(() => earlier);
      const lease = await starting;
      // In this turn, so that no byte is missed.
      if (sink !== undefined) forwardStderr(lease.stderr, sink);
      await this.#open(run, lease.transport);
    } catch (error) {
      if (sink?.ends) sink.stream.end();
      const reason = withSystemError(error, this.#params.command);
      // Unless it was closed meanwhile, which is told when the start has been ended.
      if (this.#run === run) {
        this.#report(reason);
        this.#over(run);
        server.end();
      }
      throw reason;
    }
  }

  /** Resolves when the operating system took the message; rejects when it cannot reach the server. */
  send(message: JsonRpcMessage, options?: unknown): Promise<void> {
    const transport = this.#run?.transport;
    if (transport === undefined) return Promise.reject(notConnected());
    return transport.send(message, options);
  }

  /**
   * Ends the server: its stdin is closed, then its tree is told by SIGTERM, then by SIGKILL. Never rejects.
   * @returns when the whole tree is proven dead; what could not be confirmed is told to `onerror`
   */
  close(): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    run?.server.end();
    return this.#gone;
  }

  /** How client v2 ends the second transport: the process is of no more use. It looks for this on the prototype. */
  protected _dispose(): Promise<void> {
    this.#run?.server.hurry();
    return this.close();
  }

  async #open(run: Run, transport: PooledTransport): Promise<void> {
    transport.onmessage = (message, extra) => this.onmessage?.(message, extra);
    transport.onerror = (error) => this.#report(error);
    // When `close()` has led here, the process still has to end.
    transport.onclose = () => this.#run === run && this.#over(run);
    await transport.start();
    run.transport = transport;
  }

  /** Follows a run to its end, and tells of it. Never rejects. */
  async #whenGone(run: Run): Promise<void> {
    const report = await run.server.gone();
    run.hold.drop();
    run.hold.dispose();
    if (report?.confirmed === false) this.#report(unproven(report));
    this.#over(run);
  }

  #over(run: Run): void {
    if (this.#run === run) this.#run = undefined;
    if (run.over) return;
    run.over = true;
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
      // A handler for errors that throws itself has nobody left to tell.
    }
  }
}

function definitionOf({ command, args, env, cwd, ...more }: StdioServerParameters) {
  const { maxBufferSize, maxMessageMB, eofGrace, termGrace } = more;
  const bufferMB = maxBufferSize === undefined ? undefined : Math.min(maxBufferSize / MB, LARGEST_MESSAGE_MB);
  return {
    command,
    // As Node does: everything is a text, and a variable that is undefined is none.
    // What is no list is for the pool to refuse.
    args: Array.isArray(args) ? args.map(String) : args,
    env: Object.fromEntries(
      Object.entries(env ?? {})
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, String(value)]),
    ),
    cwd: cwd === '' ? undefined : cwd,
    maxMessageMB: maxMessageMB ?? bufferMB,
    eofGrace,
    termGrace,
  };
}

/** The same error with the one of Node as its cause, for hosts that look for `ENOENT`; without arguments, which may be secret. */
function withSystemError(error: unknown, command: string): unknown {
  // Not `instanceof`: it may come from the pool of another copy.
  const { code, message, data } = error as Partial<PoolError>;
  if (code === undefined || message === undefined || data?.errno === undefined) return error;
  const errno = constants.errno[data.errno as keyof typeof constants.errno];
  const syscall = `spawn ${command}`;
  const cause = { code: data.errno, errno: errno === undefined ? undefined : -errno, syscall, path: command };
  return new PoolError(code, message, data, Object.assign(new Error(`${syscall} ${data.errno}`), cause));
}

/** In the SDK's words: of v1 the message, of v2 the code. */
function notConnected(): Error {
  return Object.assign(new Error('Not connected'), { code: 'NOT_CONNECTED' });
}

function unproven({ name, pid, survivors }: CleanupReport): PoolError {
  const named = survivors.map((survivor) => `${survivor.pid} (${survivor.command})`).join(', ');
  const message = `server '${name}' was closed, but these of its processes could not be proven dead: ${named}; see 'server:quarantined' of MCPServerPool.global()`;
  return new PoolError('SERVER_STOPPED', message, { name, pid });
}
