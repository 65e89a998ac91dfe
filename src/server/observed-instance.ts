import type { Readable } from 'node:stream';
import type { ResolvedDefinition, Sharing } from '../config/options.js';
import { processKey } from '../config/process-key.js';
import type { ContainmentLevel, ServerProcess } from '../process/launcher.js';
import { nextInstanceId } from '../process/process-registry.js';
import { Noise } from '../protocol/channels/noise.js';
import type { GivenUp } from '../protocol/mux/given-up.js';
import { Life } from './life.js';
import { type Secrets, type Spawned, secretsBefore } from './secrets.js';
import type { ServerState } from './server-state.js';
import type { StartCommand } from './start-command.js';

/** What can be seen of an instance. Nothing here changes it. */
export abstract class ObservedInstance {
  readonly id = nextInstanceId();
  /** Only its policy may change: another command or env needs another instance. Written by the pool. */
  definition: ResolvedDefinition;
  /** The tenant and the owner that it serves; before its first lease those for which it was started. Written by the pool. */
  tenant: string | undefined;
  owner: string | undefined;
  /** When it was spawned, or, until then, when it was made; in ms since the epoch. */
  startedAt = Date.now();
  /** Clock time at which it was spawned, ms. */
  protected spawnedSince = 0;
  /** Whether leases stay when its process ends unexpectedly. */
  readonly leasesStay: boolean;
  /** Clock time from which it may not be leased again (`maxLifetime`). Set when it is ready: a slow start must not use it up. */
  expiresAt = Infinity;
  /** Clock time at which it became ready; undefined before. */
  readySince: number | undefined;
  /** Its state, and what it has in it. */
  protected readonly life = new Life();
  /** With what it was spawned; undefined before. */
  protected spawned: Spawned | undefined;
  /** What is started in place of the command of its definition. Written by the pool, before the spawn. */
  startCommand: StartCommand | undefined;
  constructor(
    definition: ResolvedDefinition,
    { tenant, owner }: { readonly tenant: string | undefined; readonly owner: string | undefined },
  ) {
    this.definition = definition;
    this.tenant = tenant;
    this.owner = owner;
    this.leasesStay = definition.onCrash === 'restart';
  }

  /** From its spawn until it was ready, ms. The clock of the wall may be set meanwhile. */
  get startDuration(): number {
    return Math.round((this.readySince ?? this.spawnedSince) - this.spawnedSince);
  }

  /** What its process can see, as {@link processKey}; before the spawn, what it would see now. */
  get processKey(): string {
    return this.spawned?.key ?? processKey(this.definition);
  }

  get name(): string {
    return this.definition.name;
  }

  get label(): string | undefined {
    return this.definition.label;
  }

  get state(): ServerState {
    return this.life.state;
  }

  get pid(): number | undefined {
    return this.life.process?.pid;
  }

  /** What keeps its processes together. */
  get containment(): ContainmentLevel | undefined {
    return this.life.process?.containment;
  }

  /** How it is shared. It never changes: another way needs another instance. */
  get sharing(): Sharing {
    return this.definition.sharing;
  }

  /** Resolves when its start has succeeded or failed, after the operation that reports it. */
  get started(): Promise<void> {
    return this.life.started.promise;
  }

  get stderrTail(): string {
    return this.spawned?.secrets.hideIn(this.life.process?.stderrTail ?? '') ?? '';
  }

  /** What must not be shown of what it writes. */
  get secrets(): Secrets {
    return this.spawned?.secrets ?? secretsBefore(this.definition);
  }

  /** Raw stderr of a dedicated server; undefined for others, since one lease would see what the server writes about another. */
  get stderr(): Readable | undefined {
    return this.sharing === 'dedicated' ? this.life.process?.stderr : undefined;
  }

  /** Number of requests that the server has not answered. */
  get openRequests(): number {
    return this.life.conversation?.openRequests ?? 0;
  }

  /** Its processes; undefined before the spawn. */
  protected get process(): ServerProcess | undefined {
    return this.life.process;
  }

  /** Whether the launcher was asked to spawn a process. */
  get wasLaunched(): boolean {
    return this.life.process !== undefined;
  }

  /** Whether nothing has to come before its spawn any more. */
  get isPrepared(): boolean {
    return this.startCommand !== undefined || this.life.preparation?.isDone === true;
  }

  /** Whether its start has begun, and waits for something before its spawn. */
  get isPreparing(): boolean {
    return this.life.preparation?.isDone === false;
  }

  /** How many messages it has sent. */
  get heard(): number {
    return this.life.conversation?.heard ?? 0;
  }

  /** Clock time of the last of them, ms; -Infinity before the first. */
  get heardAt(): number {
    return this.life.conversation?.heardAt ?? -Infinity;
  }

  /** Number of requests that it has not answered, and that no client has given up. */
  get wantedRequests(): number {
    return this.life.conversation?.wantedRequests ?? 0;
  }

  /** What it has said in its handshake that it can do. */
  get capabilities(): object {
    return this.life.conversation?.capabilities ?? {};
  }

  /** How many requests of sessions it has answered. */
  get answers(): number {
    return this.life.conversation?.answers ?? 0;
  }

  /** The requests that were given up and that it has not answered. */
  get givenUp(): Pick<GivenUp, 'any' | 'isDoubtful' | 'kept' | 'expireOwn'> | undefined {
    return this.life.conversation?.givenUp;
  }

  /** What it wrote to stdout and was dropped. */
  readonly noise = new Noise((text) => this.secrets.hideIn(text));
}
