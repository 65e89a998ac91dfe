import type { MarkReading, ProcessOwner, Seeker } from './evidence.js';
import { InnerHosts } from './inner-hosts.js';
import { readOwner } from './mark-reader.js';
import type { Mark } from './marker.js';

/** The user that has logged in and started a host; null when no user had logged in. */
export type HostLogin = number | null;

let known: { readonly login: HostLogin } | undefined;

/** The login of this process; it does not change. */
export function ownLogin(): HostLogin {
  known ??= { login: readOwner('self')?.login ?? null };
  return known.login;
}

/** How many readings wait until their owner is of use. */
const MOST_UNREAD = 256;

/** What the search for one mark learns from the processes that have it with its key. */
export class SearchKnowledge implements Seeker {
  readonly mark: Mark;
  readonly users = { has: (user: number) => this.#limits && this.#hasUser(user) };
  /** The users of all processes with our key: this host, and those that were found. */
  readonly #users = new Set<number>();
  /** Processes with our key and with files of the user of the host. The user of the process may be another, but rarely is. */
  readonly #unread: MarkReading[] = [];
  /** Whether a user was asked for that is not known. */
  #missed = false;
  readonly #inner: InnerHosts;
  readonly #limits: boolean;
  readonly #login: HostLogin | undefined;

  /**
   * @param limits whether a limit counts; not where the server was started without one
   * @param login that of the host, if this process is another one
   */
  constructor(mark: Mark, inner = new InnerHosts(mark), limits = true, login?: HostLogin) {
    this.mark = mark;
    this.#login = login;
    this.#inner = inner;
    this.#limits = limits;
    const own = process.geteuid?.();
    if (own !== undefined) this.#users.add(own);
  }

  get login(): number | undefined {
    return (this.#login === undefined ? ownLogin() : this.#login) ?? undefined;
  }

  /** Grows with what is learnt. */
  get size(): number {
    if (this.#missed) this.#readOwners();
    return this.#inner.size + this.#users.size;
  }

  /** Call it before each look: what an earlier one has shown is not read any more. */
  begin(): void {
    this.#unread.length = 0;
    this.#missed = false;
  }

  /** The numbers of the inner hosts. */
  get innerHosts(): Iterable<number> {
    return this.#inner.numbers;
  }

  isInner(limit: bigint, user: number): boolean {
    return this.#inner.includes(limit, user) && this.#isBelieved(user);
  }

  /**
   * Whether no other user can have spoken for this one: a process that has our key can start a setuid program with it. Root
   * can do everything anyway.
   */
  #isBelieved(user: number): boolean {
    this.#missed = true;
    this.#readOwners();
    for (const other of this.#users) if (other !== user && other !== 0) return false;
    return true;
  }

  /**
   * Learns from a process that has our key: its user can read that key, so a limit of this user counts, too. A setuid
   * program speaks for no user: another one has started it, and has chosen its environment.
   * @param host the owner of the inner host that has started it, where that is visible; another user than that of the process
   * cannot speak for it
   */
  learn(reading: MarkReading, host: () => ProcessOwner | undefined): void {
    const { marks = [] } = reading;
    if (reading.isOwn && !this.#inner.hasNews(marks) && this.#unread.length < MOST_UNREAD) {
      this.#unread.push(reading);
      return;
    }
    const user = this.#addUser(reading);
    if (user === undefined) return;
    const starter = host();
    if (starter === undefined || starter.user === user) this.#inner.learn(marks, user);
  }

  #hasUser(user: number): boolean {
    if (this.#users.has(user)) return true;
    this.#missed = true;
    this.#readOwners();
    return this.#users.has(user);
  }

  #readOwners(): void {
    for (const reading of this.#unread.splice(0)) this.#addUser(reading);
  }

  #addUser({ owner }: MarkReading): number | undefined {
    if (owner?.user === undefined || owner.isRaised) return undefined;
    this.#users.add(owner.user);
    return owner.user;
  }
}
