import type { ResolvedDefinition } from '../../config/options.js';
import type { Due } from '../../runtime/due-times.js';
import type { EndReason } from '../../server/end-reason.js';
import { ServerInstance } from '../../server/server-instance.js';

/** A lease, as far as the instance under it is concerned: those of one instance form a list. Written by `LeaseManager`. */
export interface LeaseNode {
  before: LeaseNode | undefined;
  after: LeaseNode | undefined;
}

/** An instance with what the pool keeps of its use. Each field is written by one class. */
export class PooledInstance extends ServerInstance {
  /** Leases so far. Written by `LeaseManager`. */
  uses = 0;
  /** Leases on it now. Written by `LeaseManager`. */
  leases = 0;
  /** The oldest and the newest of them. Written by `LeaseManager`. */
  firstLease: LeaseNode | undefined;
  lastLease: LeaseNode | undefined;
  /** Leases that were silent when they were looked at last. Written by `LeaseManager`. */
  silentLeases = 0;
  /** Clock time since which it is idle; only meaningful while it has no lease. Written by `Fleet`. */
  idleSince = 0;
  /** Set when it may not be leased again: it ends with its last lease. Written by `Fleet`. */
  retired: EndReason | undefined;
  /** When its idle time is looked at, once it was idle. Written by `IdleWatch`. */
  idleDue: Due | undefined;
  /** When the silence of its leases is looked at, once it had one. Written by `LeaseManager`. */
  leaseDue: Due | undefined;
  /** Whether its start decides if others may be made: its breaker is half-open. Written by `Breakers`. */
  isProbe = false;

  /** How many leases it takes at once. */
  get seats(): number {
    // Only its caller waits for a start that is to show whether the server works again.
    return this.sharing === 'shared' && !this.isProbe ? this.definition.maxSessions : 1;
  }

  /** An instance that is to take over its sessions, of the definition as it is now. */
  successor(definition: ResolvedDefinition): PooledInstance {
    return new PooledInstance(definition, this, this.context, this.observer, this);
  }
}
