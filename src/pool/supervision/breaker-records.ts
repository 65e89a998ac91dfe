import { PoolError } from '../../errors.js';
import { Heap, type HeapItem } from '../../runtime/heap.js';
import type { LeaseScope } from '../instances/lease-scope.js';
import type { PooledInstance } from '../instances/pooled-instance.js';
import type { Breaker } from './breaker.js';

/** Of so many records, the last error is kept as a whole. It has the stderr output of the server, up to 64 KB. */
const MOST_WHOLE = 50;
/** Most records of one server, besides those of breakers that are open until they are reset. One that is half-open stays, too. */
const MOST_OF_SERVER = 1_000;

/**
 * The breakers of a pool, by server, tenant and variant. There may have been many tenants: what says nothing any more is dropped when
 * another record is added, without a search; so is, as if it were closed, the one of a server with too many that failed longest
 * ago. A breaker that is open until it is reset stays.
 */
export class BreakerRecords {
  readonly #servers = new Map<string, RecordsOfServer>();
  /** By the time until which each is kept. */
  readonly #dated = new Heap<BreakerRecord>();
  /** Those that have their last error as a whole; the one that failed last is at the end. */
  readonly #whole = new Set<BreakerRecord>();
  readonly #onDropped: (record: BreakerRecord) => void;

  /** @param onDropped called with each that is dropped because it says nothing any more, or there are too many */
  constructor(onDropped: (record: BreakerRecord) => void) {
    this.#onDropped = onDropped;
  }

  get isEmpty(): boolean {
    return this.#servers.size === 0;
  }

  find(name: string, { tenant, variant }: BreakerScope): BreakerRecord | undefined {
    return this.#servers.get(name)?.byTenant.get(tenant)?.get(variant?.id);
  }

  /** Those of one server. */
  ofServer(name: string): BreakerRecord[] {
    return [...(this.#servers.get(name)?.byTenant.values() ?? [])].flatMap((records) => [...records.values()]);
  }

  /** Those of one tenant, of one server or of all. */
  ofTenant(tenant: string | undefined, name?: string): BreakerRecord[] {
    const servers = name === undefined ? [...this.#servers.values()] : [this.#servers.get(name)];
    return servers.flatMap((server) => [...(server?.byTenant.get(tenant)?.values() ?? [])]);
  }

  /** Adds a record. Drops those that say nothing any more. */
  add(name: string, scope: BreakerScope, breaker: Breaker, now: number): BreakerRecord {
    for (let old = this.#dated.first; old !== undefined && old.rank < now; old = this.#dated.first) this.#forget(old);
    const record = new BreakerRecord(name, scope, breaker);
    const ofServer: RecordsOfServer = this.#servers.get(name) ?? { byTenant: new Map(), limited: new Set() };
    this.#servers.set(name, ofServer);
    const ofTenant = ofServer.byTenant.get(record.tenant);
    if (ofTenant) ofTenant.set(record.variantId, record);
    else ofServer.byTenant.set(record.tenant, new Map([[record.variantId, record]]));
    return record;
  }

  /** A breaker has counted a failure. */
  failed(record: BreakerRecord, error: PoolError): void {
    record.lastError = error;
    for (const list of [this.#whole, this.#servers.get(record.name)?.limited]) list?.delete(record);
    this.#whole.add(record);
    this.changed(record);
    const tooMany = firstBeyond(this.#whole, MOST_WHOLE);
    if (tooMany?.lastError === undefined) return;
    this.#whole.delete(tooMany);
    tooMany.lastError = withoutOutput(tooMany.lastError);
  }

  /** A breaker may have another state. */
  changed(record: BreakerRecord): void {
    const { keptUntil, state, retryAt } = record.breaker;
    if (keptUntil === Infinity) this.#dated.delete(record);
    else this.#dated.set(record, keptUntil);
    const limited = this.#servers.get(record.name)?.limited;
    if (state === 'open' && retryAt === Infinity) limited?.delete(record);
    else limited?.add(record);
    // No more than there are starts are half-open, so few are passed over.
    const tooMany = limited && firstBeyond(limited, MOST_OF_SERVER, ({ breaker }) => breaker.state !== 'half-open');
    if (tooMany) this.#forget(tooMany);
  }

  #forget(record: BreakerRecord): void {
    this.drop(record);
    this.#onDropped(record);
  }

  drop(record: BreakerRecord): void {
    const { name, tenant, variantId } = record;
    const ofServer = this.#servers.get(name);
    const ofTenant = ofServer?.byTenant.get(tenant);
    if (ofTenant?.delete(variantId) && ofTenant.size === 0) ofServer?.byTenant.delete(tenant);
    ofServer?.limited.delete(record);
    if (ofServer?.byTenant.size === 0) this.#servers.delete(name);
    this.#dated.delete(record);
    this.#whole.delete(record);
  }
}

/** Whose starts one breaker is for. */
type BreakerScope = Pick<LeaseScope, 'tenant' | 'variant'>;

interface RecordsOfServer {
  /** By tenant, then by the id of the variant. */
  readonly byTenant: Map<string | undefined, Map<string | undefined, BreakerRecord>>;
  /** Those that may be dropped, unless they are half-open; the one that failed last is at the end. */
  readonly limited: Set<BreakerRecord>;
}

/** Characters of the id of a variant that are shown: enough to tell them apart. */
const MARK_LENGTH = 12;

/** One breaker, and what is kept beside it. */
export class BreakerRecord implements HeapItem {
  rank = 0;
  place = -1;
  readonly name: string;
  readonly tenant: string | undefined;
  readonly variantId: string | undefined;
  readonly breaker: Breaker;
  /** The last failure: the cause of `BREAKER_OPEN`. */
  lastError: PoolError | undefined;
  /** The start that decides while the breaker is half-open. */
  probe: PooledInstance | undefined;

  constructor(name: string, { tenant, variant }: BreakerScope, breaker: Breaker) {
    this.name = name;
    this.tenant = tenant;
    this.variantId = variant?.id;
    this.breaker = breaker;
  }

  /** What is shown of its variant. */
  get mark(): string | undefined {
    return this.variantId?.slice(0, MARK_LENGTH);
  }
}

/** The first that may go, when there are more than `most`. */
function firstBeyond<T>(items: ReadonlySet<T>, most: number, mayGo: (item: T) => boolean = () => true): T | undefined {
  if (items.size > most) for (const item of items) if (mayGo(item)) return item;
  return undefined;
}

/** The message quotes the line that says why. */
function withoutOutput({ code, message, data }: PoolError): PoolError {
  const { stderrTail: _tail, dropped: _dropped, ...rest } = data;
  return new PoolError(code, message, rest);
}
