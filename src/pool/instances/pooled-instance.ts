import type { ResolvedDefinition } from '../../config/options.js';
import { isSameVariant, type Variant, withVariant } from '../../config/variant.js';
import type { SignalReach } from '../../process/launcher.js';
import type { EndMode, TreePlan } from '../../process/termination-report.js';
import type { LeaderState, TreeActivity } from '../../process/usage/tree-activity.js';
import type { DetailedUsage, TreeUsage } from '../../process/usage/tree-usage.js';
import type { Due } from '../../runtime/due-times.js';
import type { EndReason } from '../../server/end-reason.js';
import type { InstanceContext, InstanceObserver } from '../../server/instance-context.js';
import { ServerInstance } from '../../server/server-instance.js';
import type { LeaseScope, ScopeLabels } from './lease-scope.js';

/** A lease on the process that an event is about. */
export interface LeaseHolder {
  /** As `PooledServer.id`. */
  readonly leaseId: string;
  /** As given to `getServer()`. */
  readonly owner: string | undefined;
}

/** A call of `getServer()` that waits for a process. */
export interface WaitingCaller {
  readonly owner: string | undefined;
}

/** What an event names of the leases and callers that it concerns. */
interface Concerned {
  readonly leases: readonly LeaseHolder[];
  readonly callers: readonly WaitingCaller[];
}

/** The waiting callers of a class. Made by `AcquireQueue`. */
export interface ClassCallers {
  /** Their owners, each once: those that have waited longest. */
  readonly owners: readonly WaitingCaller[];
}

const NONE: readonly WaitingCaller[] = Object.freeze([]);

/** A lease as an item in the list of leases of its instance. Written by `LeaseManager`. */
export interface LeaseNode {
  readonly id: string;
  readonly owner: string | undefined;
  before: LeaseNode | undefined;
  after: LeaseNode | undefined;
}

/** An instance, with what the pool keeps of its use. Each field is written by one class. */
export class PooledInstance extends ServerInstance {
  /** What it changes of the definition of its server. It serves no other callers. */
  readonly variant: Variant | undefined;
  /** Leases so far. Written by `LeaseManager`. */
  uses = 0;
  /** Leases on it now. Written by `LeaseManager`. */
  leases = 0;
  /** The oldest and the newest lease. Written by `LeaseManager`. */
  firstLease: LeaseNode | undefined;
  lastLease: LeaseNode | undefined;
  /** Its leases as events name them. Made by {@link concerned}; dropped by `LeaseManager` when a lease comes or goes. */
  holders: readonly LeaseHolder[] | undefined;
  /** Its class, with the callers that may get it. Written by `LeaseClasses`. */
  home: { readonly callers: ClassCallers | undefined } | undefined;
  /** What events name from its end on. Written by {@link remember}. */
  #atEnd: Concerned | undefined;
  /** Leases that were silent when they were looked at last. Written by `LeaseManager`. */
  silentLeases = 0;
  /** Clock time since which it is idle; only meaningful while it has no lease. Written by `Fleet`. */
  idleSince = 0;
  /** Set when it may not be leased again: it ends with its last lease. Written by `Fleet`. */
  retired: EndReason | undefined;
  /** The scope of its last lease, if that gave up a request without an answer. Written by `LeaseEnd`. */
  reservedFor: ScopeLabels | undefined;
  /** Due when its idle time is looked at; undefined before it was idle. Written by `IdleWatch`. */
  idleDue: Due | undefined;
  /** Due when the silence of its leases is looked at; undefined before its first lease. Written by `LeaseManager`. */
  leaseDue: Due | undefined;
  /** Whether another instance depends on it: it is neither ended when it is idle, nor for its slot. Written by `Fleet`. */
  isNeeded = false;
  /** Whether that was ever so: it has worked for its tenant, though no lease did. Written by `Fleet`. */
  wasNeeded = false;
  /** Whether its breaker is half-open and waits for the result of this start. Written by `Breakers`. */
  isProbe = false;

  /** @param definition that of its server, without what the variant of `scope` changes */
  constructor(
    definition: ResolvedDefinition,
    scope: LeaseScope,
    context: InstanceContext,
    observer: InstanceObserver<ServerInstance>,
    predecessor?: ServerInstance,
  ) {
    super(withVariant(definition, scope.variant), scope, context, observer, predecessor);
    this.variant = scope.variant;
  }

  /**
   * Whether it has served no lease, and has no sessions of another instance: then it knows nothing of any client, and may
   * serve every caller of its server for which {@link mayServe} holds. One of a variant was given values of its callers.
   */
  get isClean(): boolean {
    const isUnused = this.uses === 0 && this.leases === 0 && !this.hasPredecessor;
    return isUnused && this.retired === undefined && this.variant === undefined;
  }

  /** Whether it belongs to its tenant: it depends on instances of that, or such have depended on it. */
  get isBound(): boolean {
    return this.wasNeeded || this.definition.dependencies.length > 0;
  }

  /** Whether it may serve these callers, as far as their owner does not matter. */
  mayServe({ tenant, variant }: Pick<LeaseScope, 'tenant' | 'variant'>): boolean {
    return isSameVariant(this.variant, variant) && (!this.isBound || this.tenant === tenant);
  }

  /** The leases and callers that an event about it concerns: now, or when its end began. */
  get concerned(): Concerned {
    return this.#atEnd ?? { leases: this.#leaseHolders, callers: this.#callers };
  }

  /** Its end begins: its leases will end or move, and its callers get an error. @param last its last lease, which has ended */
  remember(last?: LeaseNode): void {
    const leases = last ? [{ leaseId: last.id, owner: last.owner }] : this.#leaseHolders;
    this.#atEnd ??= { leases, callers: this.#callers };
  }

  /** Before it has served a lease: the callers that may get it. */
  get #callers(): readonly WaitingCaller[] {
    return (this.uses === 0 && this.home?.callers?.owners) || NONE;
  }

  /** Its leases, oldest first: one list until the next change, since a server may write many lines to stderr. */
  get #leaseHolders(): readonly LeaseHolder[] {
    if (this.holders !== undefined) return this.holders;
    const holders: LeaseHolder[] = [];
    for (let lease = this.firstLease; lease; lease = lease.after)
      holders.push({ leaseId: lease.id, owner: lease.owner });
    this.holders = holders;
    return holders;
  }

  /** How many leases it can have at the same time. */
  get seats(): number {
    // A probe has a seat for its own caller only: when it fails, the others must not fail with it.
    return this.sharing === 'shared' && !this.isProbe ? this.definition.maxSessions : 1;
  }

  /** Whether it may only serve the scope of its last lease: it may still work on what that has given up. */
  get isReserved(): boolean {
    return this.reservedFor !== undefined && this.givenUp?.any === true;
  }

  /** Whether it must show that it can serve the next lease, before there is one. */
  get mustBeTested(): boolean {
    return this.givenUp !== undefined && (this.givenUp.isDoubtful || this.givenUp.kept().length > 0);
  }

  /** Whether a lease of this scope may have it. */
  isFor({ tenant, owner }: ScopeLabels): boolean {
    return !this.isReserved || (this.reservedFor?.tenant === tenant && this.reservedFor?.owner === owner);
  }

  /** A dry run: the steps that would end its processes now. */
  plan(mode: EndMode): TreePlan {
    return this.process?.plan?.(mode, this.definition) ?? { steps: [], processes: [] };
  }

  /** Kills its processes at once, without a proof: for emergencies. */
  killNow(): void {
    this.process?.killNow();
  }

  /** Whether its launcher can send signals. */
  get takesSignals(): boolean {
    return this.process?.signal !== undefined;
  }

  /** Sends a signal, for a drill. False when its leader got none. */
  signal(signal: NodeJS.Signals, reach: SignalReach): boolean {
    return this.process?.signal?.(signal, reach) ?? false;
  }

  /** Whether something of it may live that can be measured. */
  get canMeasure(): boolean {
    return this.process?.usage !== undefined && this.state !== 'stopped';
  }

  /** What its processes use now; undefined when none lives, or its launcher cannot measure it. */
  async usage(): Promise<TreeUsage | undefined> {
    return this.process?.usage?.();
  }

  /** The same, with what is too expensive for every sample. */
  async detailedUsage(): Promise<DetailedUsage | undefined> {
    return this.process?.detailedUsage?.();
  }

  /** How the process that was spawned is now. */
  leaderState(): LeaderState {
    return this.process?.leaderState?.() ?? 'running';
  }

  /** What shows that its processes work; undefined where that is not known. */
  async activity(): Promise<TreeActivity | undefined> {
    return this.process?.activity?.();
  }

  /** An instance of the given definition, and of the same variant, that will take over the sessions of this one. */
  successor(definition: ResolvedDefinition): PooledInstance {
    return newInstance(definition, this, this.context, this.observer, this);
  }
}

/** Outside of the class: where a class names itself, the built package would give it another name. */
function newInstance(...parts: ConstructorParameters<typeof PooledInstance>): PooledInstance {
  return new PooledInstance(...parts);
}
