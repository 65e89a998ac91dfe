import type { Readable } from 'node:stream';
import type { ResolvedDefinition, Sharing } from '../config/options.js';
import { processKey } from '../config/process-key.js';
import { messageOf, namesOf, PoolError, type PoolErrorCode, type PoolErrorData, shownName } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import { type ContainmentLevel, isLocal, type ServerProcess } from '../process/launcher.js';
import { nextInstanceId } from '../process/process-registry.js';
import type { EndMode } from '../process/termination-report.js';
import { Noise } from '../protocol/channels/noise.js';
import { StdioChannel } from '../protocol/channels/stdio-channel.js';
import type { Answer } from '../protocol/json-rpc.js';
import type { GivenUp } from '../protocol/mux/given-up.js';
import type { Multiplexer } from '../protocol/mux/multiplexer.js';
import type { ObservedRequest } from '../protocol/request-observer.js';
import { Session, type SessionCallbacks } from '../protocol/session.js';
import { clockWithin } from '../runtime/clock.js';
import { Conversation, multiplexerFor } from './conversation.js';
import type { EndCause } from './end-cause.js';
import type { EndReason } from './end-reason.js';
import { startTimeout } from './exit-error.js';
import type { InstanceContext, InstanceObserver } from './instance-context.js';
import { InstanceEnd } from './instance-end.js';
import { Life } from './life.js';
import { Readiness } from './readiness.js';
import { type Secrets, Spawned } from './secrets.js';
import type { ServerState } from './server-state.js';

const MB = 1_048_576;

/** One process tree of a definition, for one tenant: from its spawn to the proof of its death. */
export class ServerInstance {
  readonly id = nextInstanceId();
  /** Only its policy may change: another command or env needs another instance. Written by the pool. */
  definition: ResolvedDefinition;
  /** The tenant and the owner that it serves; before its first lease those for which it was started. Written by the pool. */
  tenant: string | undefined;
  owner: string | undefined;
  /** When it was spawned, or, until then, when it was made; in ms since the epoch. */
  startedAt = Date.now();
  /** Whether leases stay when its process ends unexpectedly. */
  readonly leasesStay: boolean;
  /** Clock time from which it may not be leased again (`maxLifetime`). Set when it is ready: a slow start must not use it up. */
  expiresAt = Infinity;
  /** Clock time at which it became ready; undefined before. */
  readySince: number | undefined;
  /** Whether it was made to take over the sessions of another instance. */
  readonly hasPredecessor: boolean;
  protected readonly context: InstanceContext;
  protected readonly observer: InstanceObserver<ServerInstance>;
  /** Its sessions, which may outlive it; undefined for a dedicated server. */
  readonly #multiplexer: Multiplexer | undefined;
  readonly #life = new Life();
  readonly #end: InstanceEnd<ServerInstance>;
  /** Undefined before the spawn. */
  #spawned: Spawned | undefined;

  constructor(
    definition: ResolvedDefinition,
    scope: { readonly tenant: string | undefined; readonly owner: string | undefined },
    context: InstanceContext,
    observer: InstanceObserver<ServerInstance>,
    /** The instance from which it takes over the sessions when it is ready. */
    predecessor?: ServerInstance,
  ) {
    this.definition = definition;
    this.tenant = scope.tenant;
    this.owner = scope.owner;
    this.context = context;
    this.observer = observer;
    this.leasesStay = definition.onCrash === 'restart';
    this.hasPredecessor = predecessor !== undefined;
    this.#end = new InstanceEnd<ServerInstance>(this, this.#life, context, observer);
    this.#multiplexer = predecessor ? predecessor.#multiplexer : multiplexerFor(definition, this.sharing, context);
  }

  /** What its process can see, as {@link processKey}; before the spawn, what it would see now. */
  get processKey(): string {
    return this.#spawned?.key ?? processKey(this.definition);
  }

  get name(): string {
    return this.definition.name;
  }

  get label(): string | undefined {
    return this.definition.label;
  }

  get state(): ServerState {
    return this.#life.state;
  }

  get pid(): number | undefined {
    return this.#life.process?.pid;
  }

  /** What keeps its processes together. */
  get containment(): ContainmentLevel | undefined {
    return this.#life.process?.containment;
  }

  /** How it is shared. It never changes: another way needs another instance. */
  get sharing(): Sharing {
    return this.definition.sharing;
  }

  /** Why it could not be started. */
  get startError(): PoolError | undefined {
    return this.#end.startError;
  }

  /** Why it is being ended; undefined while it is not. */
  get endReason(): EndReason | undefined {
    return this.#end.reason;
  }

  /** Resolves when its start has succeeded or failed, after the operation that reports it. */
  get started(): Promise<void> {
    return this.#life.started.promise;
  }

  /** Resolves when it is stopped or quarantined. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#end.ended;
  }

  get stderrTail(): string {
    return this.#spawned?.secrets.hideIn(this.#life.process?.stderrTail ?? '') ?? '';
  }

  /** What must not be shown of what it writes. */
  get secrets(): Secrets {
    return (this.#spawned ?? new Spawned(this.definition)).secrets;
  }

  /** Raw stderr of a dedicated server; undefined for others, since one lease would see what the server writes about another. */
  get stderr(): Readable | undefined {
    return this.sharing === 'dedicated' ? this.#life.process?.stderr : undefined;
  }

  /** Number of requests that the server has not answered. */
  get openRequests(): number {
    return this.#life.conversation?.openRequests ?? 0;
  }

  /** Its processes; undefined before the spawn. */
  protected get process(): ServerProcess | undefined {
    return this.#life.process;
  }

  /** Whether the launcher was asked to spawn a process. */
  get wasLaunched(): boolean {
    return this.#life.process !== undefined;
  }

  /** How many messages it has sent. */
  get heard(): number {
    return this.#life.conversation?.heard ?? 0;
  }

  /** Number of requests that it has not answered, and that no client has given up. */
  get wantedRequests(): number {
    return this.#life.conversation?.wantedRequests ?? 0;
  }

  /** What it has said in its handshake that it can do. */
  get capabilities(): object {
    return this.#life.conversation?.capabilities ?? {};
  }

  /** The open requests of its clients, also those that wait for their turn. */
  requests(): Iterable<ObservedRequest> {
    return this.#life.conversation?.requests() ?? [];
  }

  /**
   * Sends a request of the pool itself.
   * @throws PoolError (rejects) `NOT_SUPPORTED` for a dedicated server; `SERVER_STOPPED` when it ends before it answers
   */
  ask(method: string, params?: unknown): Promise<Answer> {
    const { conversation } = this.#life;
    if (!conversation?.canAsk)
      return Promise.reject(this.error('NOT_SUPPORTED', 'is dedicated: only its client can ask it something'));
    return new Promise((resolve, reject) => {
      conversation.ask(method, params, (answer) => {
        if (answer) resolve(answer);
        else reject(this.error('SERVER_STOPPED', `has ended before it has answered ${method}`));
      });
    });
  }

  /** How many requests of sessions it has answered. */
  get answers(): number {
    return this.#life.conversation?.answers ?? 0;
  }

  /** The requests that were given up and that it has not answered. */
  get givenUp(): Pick<GivenUp, 'any' | 'isDoubtful' | 'kept' | 'expireOwn'> | undefined {
    return this.#life.conversation?.givenUp;
  }

  /** What it wrote to stdout and was dropped. */
  readonly noise = new Noise((text) => this.secrets.hideIn(text));

  /**
   * Spawns and registers the process, in this tick. The observer is called when it is ready, or has failed.
   * @throws PoolError when nothing can be spawned; then the instance is stopped
   */
  start(): void {
    const { host, registry, keepAlive, requests: observer, writeBudget } = this.context;
    const clock = clockWithin(this.context.clock, (task) => this.#end.guard(task));
    const { definition, name } = this;
    this.startedAt = Date.now();
    this.#spawned = new Spawned(definition);
    let process: ServerProcess;
    try {
      process = host.launcherFor(definition).launch(this.#spawned.spec, {
        onSpawn: () => this.#end.guard(() => this.#onSpawn()),
        onSpawnError: (error) => this.#end.guard(() => this.#end.refused(error)),
        onExit: (exit) => this.#end.guard(() => this.#end.exited(exit)),
        onStderrLine: (line) => this.observer.onStderrLine(this, line),
        wantsStderr: () => this.observer.wantsStderr(),
      });
    } catch (error) {
      const refused =
        error instanceof PoolError ? error : this.error('SPAWN_FAILED', `could not be started: ${messageOf(error)}`);
      this.#end.unlaunched(refused);
      throw refused;
    }
    this.#life.process = process;
    const { identity, stdin, stdout } = process;
    if (isLocal(identity)) registry.add({ id: this.id, name, ...identity });
    const messageLimit = definition.maxMessageMB * MB;
    this.#life.conversation = new Conversation({
      ...{ definition, clock, keepAlive, observer },
      channel: new StdioChannel({ server: this, stdin, stdout, messageLimit, budget: writeBudget, noise: this.noise }),
      multiplexer: this.#multiplexer,
      onBroken: (error) => this.#end.guard(() => this.#end.broken(error)),
      onNoise: (dropped) => this.#end.guard(() => this.observer.onNoise(this, dropped)),
      giveUpGrace: () => this.definition.giveUpGrace,
      requestTimeout: () => this.definition.requestTimeout,
      onStuck: () => this.#end.guard(() => this.#end.stuck()),
    });
    // A launcher that calls back may have ended it.
    if (this.#life.state !== 'starting') return;
    this.#life.startTimer = clock.after(definition.startTimeout, () =>
      this.#end.startFailed(startTimeout(this, this.#life.readiness)),
    );
  }

  /** The session of a new lease. That of a multiplexer can be opened before the process runs. */
  openSession(callbacks: SessionCallbacks): Session {
    const routing = this.#multiplexer ?? this.#life.conversation?.direct;
    if (routing === undefined) throw new Error('a session needs a server that was started');
    return new Session(routing, callbacks);
  }

  /** New requests of its sessions wait from now on, since it is being replaced. */
  suspend(): void {
    this.#life.conversation?.suspend();
  }

  /** Requests of its sessions are sent again: it is not replaced. */
  resume(): void {
    this.#life.conversation?.resume();
  }

  /** Resolves when it has answered all requests, or has ended. */
  drained(): Promise<void> {
    const drained = new Promise<void>((resolve) => this.#life.conversation?.whenDrained(resolve));
    return Promise.race([drained, this.ended.then(() => {})]);
  }

  /** Finds out whether it may serve the next lease. `onVerdict` is called once, as an operation; with false, too, when it ends. */
  test(onVerdict: (isFit: boolean) => void): void {
    this.#life.conversation?.test((isFit) => this.#end.guard(() => onVerdict(isFit)));
  }

  /** It does not answer, so it ends as after a crash. @param why the end of a sentence that begins with the server */
  unhealthy(why: string): void {
    this.#end.guard(() => this.#end.unhealthy(this.secrets.hideIn(why)));
  }

  /** Ends the process tree, whatever state it is in. Resolves when it is stopped or quarantined; never rejects. */
  stop(reason: EndReason, mode: EndMode = 'graceful', cause?: EndCause): Promise<CleanupReport | undefined> {
    return this.observer.run(() => this.#end.stop(reason, mode, cause));
  }

  /** A fault of this library, in a timer that concerns it, ends it. */
  fault(cause: unknown): void {
    this.#end.faulted(cause);
  }

  /** It was never launched, and will not be. */
  giveUp(error: PoolError): void {
    this.#end.giveUp(error);
  }

  /** Tries again to end a quarantined instance; it may be dead by now. */
  recheck(): Promise<CleanupReport> {
    return this.#end.recheck();
  }

  /** The data of an error about this instance. */
  errorData(more: PoolErrorData = {}): PoolErrorData {
    const { exit } = this.#end;
    return {
      ...namesOf(this),
      ...{ instanceId: this.id, pid: this.pid },
      ...{ exitCode: exit?.exitCode, signal: exit?.signal, outOfMemory: exit?.outOfMemory },
      stderrTail: this.stderrTail,
      ...(this.noise.count > 0 && { dropped: [...this.noise.first] }),
      ...more,
    };
  }

  /** An error about this instance; `what` follows its name or label in the message. */
  error(code: PoolErrorCode, what: string, more?: PoolErrorData): PoolError {
    return new PoolError(code, `server '${shownName(this)}' ${what}`, this.errorData(more));
  }

  #onSpawn(): void {
    if (this.#life.state !== 'starting') return;
    this.#life.conversation?.initialize(
      (why) => this.error('HANDSHAKE_FAILED', this.secrets.hideIn(why)),
      (failure) => this.#end.guard(() => (failure ? this.#end.startFailed(failure) : this.#checkReady())),
    );
  }

  /** With a `readyCheck`, it is ready when that has passed. */
  #checkReady(): void {
    const { readyCheck } = this.definition;
    if (readyCheck === undefined) return this.#becomeReady();
    const clock = clockWithin(this.context.clock, (task) => this.#end.guard(task));
    this.#life.readiness = new Readiness(this, readyCheck, clock, () => this.#end.guard(() => this.#becomeReady()));
  }

  #becomeReady(): void {
    if (!this.#life.move('ready')) return;
    this.#life.started.resolve();
    this.#life.startTimer?.cancel();
    this.readySince = this.context.clock.now();
    // Up to a tenth less, at random: instances that were started together must not end together.
    this.expiresAt = this.readySince + this.definition.maxLifetime * (1 - Math.random() / 10);
    this.observer.onReady(this);
    this.#life.conversation?.connect({
      onUndeclared: (capabilities) => this.observer.onUndeclared(this, capabilities),
      onToolsChanged: (changes) => this.observer.onToolsChanged(this, changes),
    });
  }
}
