import type { Readable } from 'node:stream';
import type { Timer } from '../config/clock.js';
import { deferred } from '../config/deferred.js';
import type { ResolvedDefinition } from '../config/options.js';
import { messageOf, PoolError, type PoolErrorCode, type PoolErrorData } from '../errors.js';
import type { CleanupReport } from '../process/cleanup-queue.js';
import type { ContainmentLevel } from '../process/containment/containment-status.js';
import type { ExitInfo, ServerProcess } from '../process/launcher.js';
import { nextInstanceId } from '../process/process-registry.js';
import type { EndMode, TreePlan } from '../process/termination.js';
import { Multiplexer } from '../protocol/multiplexer.js';
import { Session, type SessionOwner } from '../protocol/session.js';
import { Conversation } from './conversation.js';
import { wordsOf } from './exit-words.js';
import type { EndReason, InstanceContext, InstanceObserver } from './instance-context.js';
import { nextState, type ServerState } from './server-state.js';

/** How long an exit may take to be told after the pipes were closed by it, ms. */
const EXIT_FOLLOWS = 200;
/** What an attempt to end a tree needs beside the graces: SIGKILL and proof. */
const LADDER_RESERVE = 3_000;

/** One process tree of a definition, for one tenant: from its spawn to the proof of its death. */
export class ServerInstance {
  readonly id = nextInstanceId();
  /** Changes only in its policy: another command or env makes another instance. */
  definition: ResolvedDefinition;
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
  /** When it was started, ms since the epoch. */
  readonly startedAt = Date.now();
  /** Whether leases stay when its process ends unasked. */
  readonly leasesStay: boolean;
  /** Clock time at which it is too old to be used again. */
  readonly expiresAt: number;
  /** Leases so far. */
  uses = 0;
  /** Leases on it now. */
  leases = 0;
  /** Clock time since which it is idle; only meaningful while it has no lease. */
  idleSince = 0;
  /** Clock time since which it can be used; undefined before. */
  readySince: number | undefined;
  /** Whether its start decides if others may be made: its breaker is half-open. */
  isProbe = false;
  /** Why it could not be started. */
  startError: PoolError | undefined;
  /** Set when it may not be leased again: it ends with its last lease. */
  retired: EndReason | undefined;

  readonly #context: InstanceContext;
  readonly #observer: InstanceObserver<ServerInstance>;
  /** Its sessions, which may outlive it; undefined for a dedicated one. */
  readonly #multiplexer: Multiplexer | undefined;
  #state: ServerState = 'starting';
  #process: ServerProcess | undefined;
  #conversation: Conversation | undefined;
  #startTimer: Timer | undefined;
  #brokenTimer: Timer | undefined;
  #exit: ExitInfo | undefined;
  readonly #started = deferred<void>();
  readonly #ended = deferred<CleanupReport | undefined>();
  /** Resolved when the exit was told: nothing of the process comes after. */
  readonly #exitTold = deferred<void>();

  constructor(
    definition: ResolvedDefinition,
    whose: { readonly tenant: string | undefined; readonly owner: string | undefined },
    context: InstanceContext,
    observer: InstanceObserver<ServerInstance>,
    /** Whose sessions it takes over when it is ready. */
    predecessor?: ServerInstance,
  ) {
    this.definition = definition;
    this.tenant = whose.tenant;
    this.owner = whose.owner;
    this.#context = context;
    this.#observer = observer;
    this.leasesStay = definition.onCrash === 'restart';
    this.expiresAt = context.clock.now() + jittered(definition.maxLifetime);
    this.#multiplexer = predecessor ? predecessor.#multiplexer : multiplexerFor(definition, context);
  }

  get name(): string {
    return this.definition.name;
  }

  get state(): ServerState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** What holds its processes together. */
  get containment(): ContainmentLevel | undefined {
    return this.#process?.containment;
  }

  /** Resolves when its start has come to an end, whichever, and that was told. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Resolves when it is stopped or quarantined. */
  get ended(): Promise<CleanupReport | undefined> {
    return this.#ended.promise;
  }

  get stderrTail(): string {
    return this.#process?.stderrTail ?? '';
  }

  /** Raw stderr of a process that one lease has for its whole life; of others it would tell one lease of another. */
  get stderr(): Readable | undefined {
    return this.definition.sharing === 'dedicated' ? this.#process?.stderr : undefined;
  }

  /** Requests that the server has not answered. */
  get openRequests(): number {
    return this.#conversation?.openRequests ?? 0;
  }

  /** Whether a process was spawned, or tried to be. */
  get wasLaunched(): boolean {
    return this.#process !== undefined;
  }

  /** Whether it was of use to anybody: it has answered a request of a session. */
  get answered(): boolean {
    return this.#conversation?.answered ?? false;
  }

  /** How many leases it takes at once. */
  get seats(): number {
    // Nobody but its caller waits for a start that is to show whether the server works again.
    return this.definition.sharing === 'shared' && !this.isProbe ? this.definition.maxSessions : 1;
  }

  /** Lines of its stdout that were no messages. */
  get skippedLines(): number {
    return this.#conversation?.skippedLines ?? 0;
  }

  /**
   * Spawns and registers the process, in this tick. Whether it becomes usable, the observer is told.
   * @throws PoolError when there is nothing to be spawned; then the instance is stopped
   */
  start(): void {
    const { launcher, registry, clock, hold, writeBudget } = this.#context;
    const { definition } = this;
    let process: ServerProcess;
    try {
      process = launcher.launch(definition, {
        onSpawn: () => this.#onSpawn(),
        onSpawnError: (error) => this.#onSpawnError(error),
        onExit: (exit) => this.#onExit(exit),
        onStderrLine: (line) => this.#observer.onStderrLine(this, line),
        wantsStderr: () => this.#observer.wantsStderr(),
      });
    } catch (error) {
      this.#move('refused');
      const refused =
        error instanceof PoolError ? error : this.#error('SPAWN_FAILED', `could not be started: ${messageOf(error)}`);
      this.startError = refused;
      this.#started.resolve();
      this.#ended.resolve(undefined);
      throw refused;
    }
    this.#process = process;
    const { pid, startTime, stdin, stdout } = process;
    // A process without a start time is none of this machine, and not for its registry.
    if (pid !== undefined && startTime !== undefined)
      registry.add({ id: this.id, name: definition.name, pid, startTime });
    const onBroken = (error: PoolError) => this.#onBroken(error);
    const multiplexer = this.#multiplexer;
    this.#conversation = new Conversation({ definition, stdin, stdout, hold, writeBudget, multiplexer, onBroken });
    this.#startTimer = clock.after(definition.startTimeout, () => this.#onStartTimeout());
  }

  /** The session of a new lease. */
  openSession(owner: SessionOwner): Session {
    // Sessions of a multiplexer may be there before their process.
    const routing = this.#multiplexer ?? this.#conversation?.direct;
    if (routing === undefined) throw new Error('a session needs a server that was started');
    return new Session(routing, owner);
  }

  /** New requests of its sessions wait from now on: it is to be replaced. */
  suspend(): void {
    this.#conversation?.suspend();
  }

  /** It goes on all the same. */
  resume(): void {
    this.#conversation?.resume();
  }

  /** Resolves when it has answered all that it was asked, or has ended. */
  drained(): Promise<void> {
    const drained = new Promise<void>((resolve) => this.#conversation?.whenDrained(resolve));
    return Promise.race([drained, this.ended.then(() => {})]);
  }

  /** Ends the process tree, whatever state it is in. Resolves when it is stopped or quarantined; never rejects. */
  stop(reason: EndReason, mode: EndMode = 'graceful'): Promise<CleanupReport | undefined> {
    if (this.#beginStop(reason, mode)) {
      this.#endConversation(this.#error('SERVER_STOPPED', `was ended by the pool (${reason})`), false);
      this.#started.resolve();
    } else if (mode === 'emergency') {
      this.#context.cleanup.escalate(this.id);
    }
    return this.ended;
  }

  /** What would be done to end its processes now; touches nothing. */
  plan(mode: EndMode): TreePlan {
    return this.#process?.plan?.(mode, this.definition) ?? { steps: [], processes: [] };
  }

  /** Kills what can be killed without waiting: for the last moment of the host. */
  killNow(): void {
    this.#process?.killNow();
  }

  /** Tries again to end a quarantined instance; it may be dead by now. */
  async recheck(): Promise<CleanupReport> {
    const report = await this.#enqueueCleanup('emergency');
    this.#settle(report);
    return report;
  }

  /** What an error about this instance should know. */
  errorData(more: PoolErrorData = {}): PoolErrorData {
    return {
      name: this.name,
      instanceId: this.id,
      pid: this.pid,
      exitCode: this.#exit?.exitCode,
      signal: this.#exit?.signal,
      outOfMemory: this.#exit?.outOfMemory,
      stderrTail: this.stderrTail,
      ...more,
    };
  }

  #onSpawn(): void {
    if (this.#state !== 'starting') return;
    const done = (failure?: PoolError) => (failure ? this.#failStart(failure) : this.#becomeReady());
    this.#conversation?.initialize(() => this.errorData(), done);
  }

  #becomeReady(): void {
    if (!this.#move('ready')) return;
    this.#startTimer?.cancel();
    this.readySince = this.#context.clock.now();
    this.#conversation?.connect({
      onUndeclared: (capabilities) => this.#observer.onUndeclared(this, capabilities),
      onToolsChanged: (changes) => this.#observer.onToolsChanged(this, changes),
    });
    this.#observer.onReady(this);
    this.#started.resolve();
  }

  #onStartTimeout(): void {
    const { startTimeout } = this.definition;
    const noise = this.skippedLines;
    this.#failStart(
      this.#error(
        'START_TIMEOUT',
        `did not answer initialize within ${startTimeout} ms${
          noise > 0 ? ` and wrote ${noise} lines to stdout that are no messages` : ''
        }; check that command and args start an MCP server on stdio, or raise startTimeout`,
        { after: startTimeout },
      ),
    );
  }

  #failStart(error: PoolError): void {
    if (!this.#beginStop('start-failed', 'graceful')) return;
    this.#tellStartFailed(error);
  }

  #tellStartFailed(error: PoolError): void {
    this.startError = error;
    this.#endConversation(error, true);
    this.#observer.onStartFailed(this, error);
    this.#started.resolve();
  }

  /** Nothing runs: the slot is free at once. */
  #onSpawnError(error: Error): void {
    this.#exitTold.resolve();
    if (!this.#move('refused')) return;
    this.#startTimer?.cancel();
    this.#tellStartFailed(error as PoolError);
    this.#finish(undefined);
  }

  #onExit(exit: ExitInfo): void {
    this.#exit = exit;
    // What could not be proven dead may be so now.
    if (this.#state === 'quarantined') void this.recheck();
    const wasStarting = this.#state === 'starting';
    const unexpected = this.#beginStop('crashed', 'emergency');
    // At once, not when the queue has room: what a crashed server leaves behind works for nobody.
    if (unexpected) this.#process?.killNow();
    void this.#tellExit(exit, unexpected, wasStarting);
  }

  /** After the last words of the process were read: answers among them still count, and the tail is complete. */
  async #tellExit(exit: ExitInfo, unexpected: boolean, wasStarting: boolean): Promise<void> {
    await this.#process?.drained();
    this.#observer.onExited(this, exit, unexpected);
    if (unexpected) {
      const { how, why } = wordsOf(exit, this.definition);
      const early = `${how} before it was ready${why || hint(this.stderrTail)}`;
      const refusal = this.#process?.refusal;
      const error = refusal
        ? this.#error(refusal.code, `could not be started: ${refusal.reason}`)
        : this.#error('SERVER_EXITED', wasStarting ? early : `${how} unasked${why}`);
      if (wasStarting) this.#tellStartFailed(error);
      else this.#endConversation(error, true);
    }
    this.#exitTold.resolve();
  }

  /** The connection is of no use any more. */
  #onBroken(error: PoolError): void {
    if (this.#state !== 'starting' && this.#state !== 'ready') return;
    if (error.code !== 'SERVER_EXITED') return this.#endBroken(error);
    this.suspend();
    // A pipe that closed is mostly the first sign of an exit, which tells more: its code, and the last words.
    this.#brokenTimer ??= this.#context.clock.after(EXIT_FOLLOWS, () => this.#endBroken(error));
  }

  #endBroken({ code, message, cause }: PoolError): void {
    const full = new PoolError(code, message, this.errorData(), cause);
    if (this.#state === 'starting') return this.#failStart(full);
    // Its leases wait for the next process, which waits for the end of this one.
    const mode = this.leasesStay && this.leases > 0 ? 'emergency' : 'graceful';
    if (this.#beginStop('broken', mode)) this.#endConversation(full, true);
  }

  /** Nothing can be said to it any more. */
  #endConversation(error: PoolError, unasked: boolean): void {
    this.#conversation?.close(error);
    // First who keeps its lease, then what becomes of requests: those of a lease that ends are answered by its end.
    this.#observer.onLost(this, error, unasked);
    this.#conversation?.end(error);
  }

  /** The one way into `stopping`. False when it is on its way already. */
  #beginStop(reason: EndReason, mode: EndMode): boolean {
    if (!this.#move('end')) return false;
    this.#startTimer?.cancel();
    this.#brokenTimer?.cancel();
    // What was sent in this tick still goes out, before the ladder closes stdin; what is sent later is for the next one.
    this.#conversation?.flush();
    this.#conversation?.suspend();
    this.#observer.onStopping(this, reason);
    if (this.#process === undefined) this.#settleUnstarted();
    else void this.#enqueueCleanup(mode).then((report) => this.#settle(report));
    return true;
  }

  #enqueueCleanup(mode: EndMode): Promise<CleanupReport> {
    const { eofGrace, termGrace } = this.definition;
    return this.#context.cleanup.enqueue(
      {
        id: this.id,
        name: this.name,
        pid: this.pid,
        leastTime: eofGrace + termGrace + LADDER_RESERVE,
        end: async (options) => {
          if (this.#process === undefined) throw new Error('nothing was started');
          return this.#process.end({ ...options, graces: this.definition });
        },
      },
      mode,
    );
  }

  #settle(report: CleanupReport): void {
    if (!report.confirmed) {
      if (this.#move('unproven')) this.#observer.onQuarantined(this, report);
      return this.#ended.resolve(report);
    }
    // Dead, but Node may not have told its exit yet.
    void this.#exitTold.promise.then(() => {
      if (this.#move('proven')) this.#finish(report);
    });
  }

  /** It waited for its slot, or for its time: there is nothing to be ended. */
  #settleUnstarted(): void {
    queueMicrotask(() => {
      if (this.#move('proven')) this.#finish(undefined);
    });
  }

  #finish(report: CleanupReport | undefined): void {
    this.#context.registry.remove(this.id);
    this.#observer.onStopped(this, report);
    this.#ended.resolve(report);
  }

  #move(transition: Parameters<typeof nextState>[1]): boolean {
    const state = nextState(this.#state, transition);
    if (state === undefined) return false;
    this.#state = state;
    return true;
  }

  #error(code: PoolErrorCode, what: string, more?: PoolErrorData): PoolError {
    return new PoolError(code, `server '${this.name}' ${what}`, this.errorData(more));
  }
}

function multiplexerFor(
  { name, sharing, onCrash, retryTools }: ResolvedDefinition,
  { clock, hold, writeBudget: budget }: InstanceContext,
): Multiplexer | undefined {
  if (sharing === 'dedicated') return undefined;
  const shared = sharing === 'shared';
  return new Multiplexer({ name, shared, sessionsStay: onCrash === 'restart', retryTools, clock, hold, budget });
}

/** Up to a tenth less, so that instances that were started together do not end together. */
function jittered(lifetime: number): number {
  return lifetime * (1 - Math.random() / 10);
}

/** The last line of stderr, which mostly says why. */
function hint(stderrTail: string): string {
  const last = stderrTail.trimEnd().split('\n').at(-1) ?? '';
  return last === '' ? '; it wrote nothing to stderr' : `; its last words: ${last.slice(0, 300)}`;
}
