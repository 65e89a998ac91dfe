import { knownEnvironment } from '../config/environment.js';
import { networkVariablesKept } from '../config/network-variables.js';
import type { ResolvedDefinition } from '../config/options.js';
import { messageOf, namesOf, PoolError, type PoolErrorCode, type PoolErrorData, shownName } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import { isLocal, type ServerProcess } from '../process/launcher.js';
import type { EndMode } from '../process/termination-report.js';
import { StdioChannel } from '../protocol/channels/stdio-channel.js';
import type { Answer } from '../protocol/json-rpc.js';
import type { Multiplexer } from '../protocol/mux/multiplexer.js';
import { Session, type SessionCallbacks } from '../protocol/session.js';
import { clockWithin } from '../runtime/clock.js';
import { Conversation, multiplexerFor } from './conversation.js';
import type { EndCause } from './end-cause.js';
import type { EndReason } from './end-reason.js';
import { preparationTimeout, startTimeout, stuckError, unhealthyError } from './exit-error.js';
import type { InstanceContext, InstanceObserver } from './instance-context.js';
import { InstanceEnd } from './instance-end.js';
import { ObservedInstance } from './observed-instance.js';
import { Readiness } from './readiness.js';
import { Spawned } from './secrets.js';

const MB = 1_048_576;

/** One process tree of a definition, for one tenant: from its spawn to the proof of its death. */
export class ServerInstance extends ObservedInstance {
  /** Whether it was made to take over the sessions of another instance. */
  readonly hasPredecessor: boolean;
  /** Clock time at which it was made: from then on it starts, or waits for its turn to start. */
  readonly madeSince: number;
  protected readonly context: InstanceContext;
  protected readonly observer: InstanceObserver<ServerInstance>;
  /** Its sessions, which may outlive it; undefined for a dedicated server. */
  readonly #multiplexer: Multiplexer | undefined;
  readonly #end: InstanceEnd<ServerInstance>;

  constructor(
    definition: ResolvedDefinition,
    scope: { readonly tenant: string | undefined; readonly owner: string | undefined },
    context: InstanceContext,
    observer: InstanceObserver<ServerInstance>,
    /** The instance from which it takes over the sessions when it is ready. */
    predecessor?: ServerInstance,
  ) {
    super(definition, scope);
    this.context = context;
    this.observer = observer;
    this.madeSince = context.clock.now();
    this.hasPredecessor = predecessor !== undefined;
    this.#end = new InstanceEnd<ServerInstance>(this, this.life, context, observer);
    this.#multiplexer = predecessor ? predecessor.#multiplexer : multiplexerFor(definition, this.sharing, context);
  }

  /** Why it could not be started. */
  get startError(): PoolError | undefined {
    return this.#end.startError;
  }

  /** Why it is being ended; undefined while it is not. */
  get endReason(): EndReason | undefined {
    return this.#end.reason;
  }

  /** Resolves when it is stopped or quarantined. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#end.ended;
  }

  /**
   * Sends a request of the pool itself.
   * @throws PoolError (rejects) `NOT_SUPPORTED` for a dedicated server; `SERVER_STOPPED` when it ends before it answers
   */
  ask(method: string, params?: unknown): Promise<Answer> {
    const { conversation } = this.life;
    if (!conversation?.canAsk)
      return Promise.reject(this.error('NOT_SUPPORTED', 'is dedicated: only its client can ask it something'));
    return new Promise((resolve, reject) => {
      conversation.ask(method, params, (answer) => {
        if (answer) resolve(answer);
        else reject(this.error('SERVER_STOPPED', `has ended before it has answered ${method}`));
      });
    });
  }

  /**
   * Its start begins with work that comes before its spawn: `startTimeout` counts from now on.
   * @param what it waits for, as the end of a sentence
   * @param work must not reject, unless its signal is aborted, because its end has begun
   * @param then called as an operation when the work is done; never after its end has begun
   */
  prepare(what: string, work: (signal: AbortSignal) => Promise<void>, then: () => void): void {
    const abort = new AbortController();
    const preparation = { what, abort, isDone: false };
    this.life.preparation = preparation;
    this.#setStartTimer();
    const onDone = (fault?: unknown) => {
      if (abort.signal.aborted) return;
      this.#end.guard(() => {
        preparation.isDone = true;
        if (fault !== undefined) throw fault;
        then();
      });
    };
    void work(abort.signal).then(() => onDone(), onDone);
  }

  /**
   * Spawns and registers the process, in this tick. The observer is called when it is ready, or has failed.
   * @throws PoolError when nothing can be spawned; then the instance is stopped
   */
  start(): void {
    const { host, registry, keepAlive, requests: observer, writeBudget } = this.context;
    const clock = clockWithin(this.context.clock, (task) => this.#end.guard(task));
    const { definition, name } = this;
    this.startedAt = Date.now();
    this.spawnedSince = clock.now();
    let process: ServerProcess;
    try {
      const spawned = new Spawned(definition, this.startCommand);
      this.spawned = spawned;
      process = host.launcherFor(definition).launch(spawned.spec, {
        onSpawn: () => this.#end.guard(() => this.#onSpawn()),
        onSpawnError: (error) => this.#end.guard(() => this.#end.refused(spawned.withoutValues(error))),
        onExit: (exit) => this.#end.guard(() => this.#end.exited(exit)),
        onStderrLine: (line) => this.observer.onStderrLine(this, line),
        wantsStderr: () => this.observer.wantsStderr(),
      });
    } catch (error) {
      const raw =
        error instanceof PoolError ? error : this.error('SPAWN_FAILED', `could not be started: ${messageOf(error)}`);
      const refused = this.spawned?.withoutValues(raw) ?? raw;
      this.#end.unlaunched(refused);
      throw refused;
    }
    this.life.process = process;
    const { identity, stdin, stdout } = process;
    if (isLocal(identity)) registry.add({ id: this.id, name, ...identity });
    const messageLimit = definition.maxMessageMB * MB;
    this.life.conversation = new Conversation({
      ...{ definition, clock, keepAlive, observer },
      channel: new StdioChannel({ server: this, stdin, stdout, messageLimit, budget: writeBudget, noise: this.noise }),
      multiplexer: this.#multiplexer,
      onBroken: (error) => this.#end.guard(() => this.#end.broken(error)),
      onNoise: (dropped) => this.#end.guard(() => this.observer.onNoise(this, dropped)),
      giveUpGrace: () => this.definition.giveUpGrace,
      requestTimeout: () => this.definition.requestTimeout,
      onStuck: () => this.#end.guard(() => this.#end.unanswering('stuck', stuckError(this))),
    });
    // A launcher that calls back may have ended it.
    if (this.life.state !== 'starting') return;
    this.#setStartTimer();
  }

  /** The session of a new lease. That of a multiplexer can be opened before the process runs. */
  openSession(callbacks: SessionCallbacks): Session {
    const routing = this.#multiplexer ?? this.life.conversation?.direct;
    if (routing === undefined) throw new Error('a session needs a server that was started');
    return new Session(routing, callbacks);
  }

  /** New requests of its sessions wait from now on, since it is being replaced. */
  suspend(): void {
    this.life.conversation?.suspend();
  }

  /** Requests of its sessions are sent again: it is not replaced. */
  resume(): void {
    this.life.conversation?.resume();
  }

  /** Resolves when it has answered all requests, or has ended. */
  drained(): Promise<void> {
    const drained = new Promise<void>((resolve) => this.life.conversation?.whenDrained(resolve));
    return Promise.race([drained, this.ended.then(() => {})]);
  }

  /** Finds out whether it may serve the next lease. `onVerdict` is called once, as an operation; with false, too, when it ends. */
  test(onVerdict: (isFit: boolean) => void): void {
    this.life.conversation?.test((isFit) => this.#end.guard(() => onVerdict(isFit)));
  }

  /** It does not answer, so it ends as after a crash. @param why the end of a sentence that begins with the server */
  unhealthy(why: string): void {
    this.#end.guard(() => this.#end.unanswering('unhealthy', unhealthyError(this, why)));
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

  /** That of its preparation goes on. */
  #setStartTimer(): void {
    const clock = clockWithin(this.context.clock, (task) => this.#end.guard(task));
    this.life.startTimer ??= clock.after(this.definition.startTimeout, () =>
      this.#end.startFailed(this.#startTimeout()),
    );
  }

  #startTimeout(): PoolError {
    const { preparation, readiness } = this.life;
    const kept = networkVariablesKept(this.spawned?.spec.resolvedEnv ?? knownEnvironment(this.definition));
    return preparation && !this.wasLaunched
      ? preparationTimeout(this, preparation.what, kept)
      : startTimeout(this, kept, readiness);
  }

  #onSpawn(): void {
    if (this.life.state !== 'starting') return;
    this.life.conversation?.initialize(
      (why) => this.error('HANDSHAKE_FAILED', this.secrets.hideIn(why)),
      (failure) => this.#end.guard(() => (failure ? this.#end.startFailed(failure) : this.#checkReady())),
    );
  }

  /** With a `readyCheck`, it is ready when that has passed. */
  #checkReady(): void {
    const { readyCheck } = this.definition;
    if (readyCheck === undefined) return this.#becomeReady();
    const clock = clockWithin(this.context.clock, (task) => this.#end.guard(task));
    this.life.readiness = new Readiness(this, readyCheck, clock, () => this.#end.guard(() => this.#becomeReady()));
  }

  #becomeReady(): void {
    if (!this.life.move('ready')) return;
    this.life.started.resolve();
    this.life.startTimer?.cancel();
    this.readySince = this.context.clock.now();
    // Up to a tenth less, at random: instances that were started together must not end together.
    this.expiresAt = this.readySince + this.definition.maxLifetime * (1 - Math.random() / 10);
    this.observer.onReady(this);
    this.life.conversation?.connect({
      onUndeclared: (capabilities) => this.observer.onUndeclared(this, capabilities),
      onToolsChanged: (changes) => this.observer.onToolsChanged(this, changes),
    });
  }
}
