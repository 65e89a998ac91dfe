import { PassThrough } from 'node:stream';
import type {
  EndOptions,
  ExitInfo,
  Launcher,
  LaunchSpec,
  ProcessHandlers,
  ServerProcess,
  SignalReach,
} from '../../src/process/launcher.js';
import type { TerminationReport } from '../../src/process/termination-report.js';
import type { JsonRpcMessage, RequestId } from '../../src/protocol/json-rpc.js';
import { property } from '../../src/protocol/json-rpc.js';

/** What a fake server does without a call of the test. All true by default. */
export interface Automatic {
  /** Calls `onSpawn`. */
  readonly spawn: boolean;
  /** Answers initialize. */
  readonly initialize: boolean;
  /** Answers every other request with `{ echo: params }`, ping with `{}`. */
  readonly answer: boolean;
  /** Exits after `end()`. */
  readonly end: boolean;
}

/** Higher than every real pid, so that no signal and no look-up can concern a real process. */
let nextPid = 10_000_000;

/** A launcher without processes: the test decides what happens, and when. */
export class FakeLauncher implements Launcher {
  /** For servers that are launched from now on. For a launched server set its own `auto`. */
  auto: Automatic;
  /** All launched servers, oldest first. */
  readonly servers: FakeServer[] = [];
  /** Highest number of servers that lived at once. */
  maximum = 0;
  /** Called before each launch; throws what the launch shall throw. */
  onLaunch: ((spec: LaunchSpec) => void) | undefined;

  constructor(auto: Partial<Automatic> = {}) {
    this.auto = { spawn: true, initialize: true, answer: true, end: true, ...auto };
  }

  launch(spec: LaunchSpec, handlers: ProcessHandlers): FakeServer {
    this.onLaunch?.(spec);
    const server = new FakeServer(spec, handlers, { ...this.auto });
    this.servers.push(server);
    this.maximum = Math.max(this.maximum, this.living.length);
    return server;
  }

  /** The living servers, oldest first. */
  get living(): FakeServer[] {
    return this.servers.filter(({ alive }) => alive);
  }

  livingOf(name: string): FakeServer[] {
    return this.living.filter(({ definition }) => definition.name === name);
  }

  /** The last launched server. */
  get last(): FakeServer {
    const last = this.servers.at(-1);
    if (last === undefined) throw new Error('no server was launched yet');
    return last;
  }
}

interface Ending {
  readonly options: EndOptions;
  resolve(report: TerminationReport): void;
}

export class FakeServer implements ServerProcess {
  readonly pid: number = nextPid++;
  readonly identity = { kind: 'local', pid: this.pid, startTime: 1 } as const;
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly definition: LaunchSpec;
  auto: Automatic;
  /** Until it exits, or is refused. */
  alive = true;
  stderrTail = '';
  /** Every message that was sent to it, oldest first. */
  readonly received: JsonRpcMessage[] = [];
  /** Returns the result for a request, instead of the automatic answer; `undefined` leaves the request unanswered. */
  onRequest: ((message: JsonRpcMessage) => unknown) | undefined;
  /** Calls of `end()` so far. */
  readonly ends: EndOptions[] = [];
  /** Calls of `killNow()` so far. */
  kills = 0;
  /** Signals that it got outside of an end, as `SIGKILL leader`. */
  readonly signals: string[] = [];
  /** Whether it exits after SIGKILL or SIGTERM outside of an end. */
  obeys = true;
  readonly #handlers: ProcessHandlers;
  readonly #endings: Ending[] = [];
  #spawned = false;
  #rest = '';

  constructor(spec: LaunchSpec, handlers: ProcessHandlers, auto: Automatic) {
    this.definition = spec;
    this.auto = auto;
    this.#handlers = handlers;
    // As a local process does: the writer learns of an error through its callback.
    for (const stream of [this.stdin, this.stdout]) stream.on('error', () => {});
    this.stdin.on('data', (chunk: Buffer) => this.#read(chunk));
    process.nextTick(() => {
      if (this.auto.spawn && this.alive) this.spawned();
    });
  }

  // What the test makes it do.

  /** The process runs. */
  spawned(): void {
    if (this.#spawned) return;
    this.#spawned = true;
    this.#handlers.onSpawn();
  }

  /** The operating system refuses to start the process. */
  refuse(error: Error): void {
    this.alive = false;
    this.#handlers.onSpawnError(error);
  }

  /** Answers the `initialize` request that it has received, or will receive. */
  initialize(result: object = {}): void {
    const request = this.received.find(({ method, id }) => method === 'initialize' && id !== undefined);
    if (request === undefined) this.auto = { ...this.auto, initialize: true };
    else this.#answerInitialize(request, result);
  }

  /** Answers a request. */
  answer(id: RequestId, result: unknown): void {
    this.say({ jsonrpc: '2.0', id, result });
  }

  /** Writes a message, or any string, to stdout. */
  say(message: JsonRpcMessage | string): void {
    if (!this.stdout.writableEnded)
      this.stdout.write(typeof message === 'string' ? message : `${JSON.stringify(message)}\n`);
  }

  /** Writes a line to stderr. */
  complain(line: string): void {
    this.stderrTail += `${line}\n`;
    if (this.#handlers.wantsStderr()) this.#handlers.onStderrLine(line);
  }

  /**
   * Exits, by itself or after `end()`, and every `end()` resolves. `lastWords` can be read from its stdout only after
   * `onExit`, as it happens with real processes.
   */
  exit(exit: Partial<ExitInfo> = {}, lastWords?: JsonRpcMessage): void {
    if (!this.alive) return;
    this.alive = false;
    this.stdin.end();
    this.#handlers.onExit({ exitCode: exit.signal ? null : 0, signal: null, ...exit });
    if (lastWords) this.say(lastWords);
    this.stdout.end();
    for (const { options, resolve } of this.#endings.splice(0)) resolve(this.#report(options, false));
  }

  /** Resolves every `end()` with a survivor. */
  survive(): void {
    for (const { options, resolve } of this.#endings.splice(0)) resolve(this.#report(options, true));
  }

  /** Whether `end()` was called, and it has not exited yet. */
  get ending(): boolean {
    return this.#endings.length > 0;
  }

  // ServerProcess, for the code under test.

  async drained(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  end(options: EndOptions): Promise<TerminationReport> {
    this.ends.push(options);
    if (!this.alive) return Promise.resolve(this.#report(options, false));
    return new Promise((resolve) => {
      this.#endings.push({ options, resolve });
      process.nextTick(() => {
        if (this.auto.end) this.exit(options.mode === 'emergency' ? { signal: 'SIGKILL' } : {});
      });
    });
  }

  killNow(): void {
    this.kills += 1;
    if (this.auto.end) process.nextTick(() => this.exit({ signal: 'SIGKILL' }));
  }

  signal(signal: NodeJS.Signals, reach: SignalReach): boolean {
    this.signals.push(`${signal} ${reach}`);
    if (this.obeys && (signal === 'SIGKILL' || signal === 'SIGTERM')) process.nextTick(() => this.exit({ signal }));
    return this.alive;
  }

  #report({ mode }: EndOptions, survives: boolean): TerminationReport {
    const step = mode === 'emergency' ? 'SIGKILL' : 'eof';
    return {
      pid: this.pid,
      endedBy: step,
      steps: [{ step, at: 0, processes: 1 }],
      duration: 0,
      survivors: survives ? [{ pid: this.pid, command: 'fake' }] : [],
    };
  }

  #read(chunk: Buffer): void {
    const lines = (this.#rest + chunk.toString('utf8')).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#receive(JSON.parse(line) as JsonRpcMessage);
  }

  #receive(message: JsonRpcMessage): void {
    this.received.push(message);
    const { id, method } = message;
    if (!this.alive || method === undefined || id === undefined || id === null) return;
    if (method === 'initialize') {
      if (this.auto.initialize) this.#answerInitialize(message);
    } else if (this.onRequest) {
      const result = this.onRequest(message);
      if (result !== undefined) this.answer(id, result);
    } else if (this.auto.answer) {
      this.answer(id, method === 'ping' ? {} : { echo: message.params });
    }
  }

  #answerInitialize({ id, params }: JsonRpcMessage, result: object = {}): void {
    this.answer(id as RequestId, {
      protocolVersion: property(params, 'protocolVersion'),
      capabilities: { tools: {} },
      serverInfo: { name: this.definition.name, version: '1.0.0' },
      ...result,
    });
  }
}
