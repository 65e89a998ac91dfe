import type { MarkReading, ProcessOwner, Seeker } from './evidence.js';
import { InnerHosts } from './inner-hosts.js';
import { readOwner } from './mark-reader.js';
import type { Mark } from './marker.js';

/** The login of this process; it does not change. */
let ownLogin: { readonly login: number | undefined } | undefined;

/** What the search for one mark learns from the processes that have it with its key. */
export class SearchKnowledge implements Seeker {
  readonly mark: Mark;
  readonly users = new Set<number>();
  readonly #inner: InnerHosts;
  readonly #limits: boolean;

  /** @param limits whether a limit counts; not where the server was started without one */
  constructor(mark: Mark, inner = new InnerHosts(mark), limits = true) {
    this.mark = mark;
    this.#inner = inner;
    this.#limits = limits;
    const own = process.geteuid?.();
    if (own !== undefined && limits) this.users.add(own);
  }

  get login(): number | undefined {
    ownLogin ??= { login: readOwner('self')?.login };
    return ownLogin.login;
  }

  /** Grows with what is learnt. */
  get size(): number {
    return this.#inner.size + this.users.size;
  }

  isInner(limit: bigint, user: number): boolean {
    return this.#inner.includes(limit, user);
  }

  /**
   * Learns from a process that has our key: its user can read that key, so a limit of this user counts, too.
   * @param host the owner of the inner host that has started it, where that is visible; another user than that of the process
   * cannot speak for it
   */
  learn({ marks = [], owner }: MarkReading, host: ProcessOwner | undefined): void {
    if (owner?.user === undefined) return;
    if (this.#limits) this.users.add(owner.user);
    if (host === undefined || host.user === owner.user) this.#inner.learn(marks, owner.user);
  }
}
