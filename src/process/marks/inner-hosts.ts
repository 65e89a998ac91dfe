import { hostMark, hostNumberIn, hostsAround, type Mark, outerHosts } from './marker.js';

/** How many inner hosts of one server are remembered, the first ones, with each of their users. A pool inside a pooled server has only a few. */
const MOST = 256;

/**
 * The hosts that run inside the servers with a given mark: pools in pooled servers. The servers of such an inner pool
 * have its limit instead of ours, so a helper of theirs that has emptied its environment has no mark of ours at all.
 * But as long as one of these servers shows its environment, the marks to the right of ours name the inner hosts, and
 * so their limits.
 *
 * It is learnt only from processes with our key. But such a process can write any mark beside it. So what is learnt
 * this way counts less than our own mark:
 * - It counts only for processes of the same user as the one that it was learnt from. So a server of another user, or of
 *   a host that is root, gains nothing: it directs us only to processes that it could end itself.
 * - Hosts to the left of our mark (outside of us) and this host itself are never learnt: a server that adds the mark of
 *   another host to its own ends neither that host nor the pools around us. Hosts are compared by number, because a
 *   limit has no more.
 * - It applies only to processes without any mark in their environment. A server of a foreign host names that host
 *   there.
 * - Like every mark it applies only to processes started after our leader, in sessions that began after it.
 */
export class InnerHosts {
  readonly #mark: Mark;
  /** The number of each inner host, and the users of the processes that have named it. */
  readonly #numbers = new Map<number, Set<number>>();
  #size = 0;
  /** The numbers of this host and of the hosts around it. */
  readonly #outer: Set<number>;

  constructor(mark: Mark) {
    this.#mark = mark;
    this.#outer = new Set([mark.host, hostMark(), ...outerHosts()].map(({ number }) => number));
  }

  /** Grows with each host, and each further user of it. */
  get size(): number {
    return this.#size;
  }

  get numbers(): Iterable<number> {
    return this.#numbers.keys();
  }

  /** Whether `learn` could learn from these marks, ours among them. */
  hasNews(marks: readonly string[]): boolean {
    if (marks.length <= 1) return false;
    const { outer, inner } = hostsAround(marks, this.#mark);
    return inner.length > 0 || outer.some(({ number }) => !this.#outer.has(number));
  }

  /** Learns from the marks in the environment of a process of `user`, if our mark is among them. */
  learn(marks: readonly string[], user: number): void {
    const { outer, inner } = hostsAround(marks, this.#mark);
    for (const { number } of outer) {
      this.#outer.add(number);
      this.#size -= this.#numbers.get(number)?.size ?? 0;
      this.#numbers.delete(number);
    }
    for (const { number } of inner) {
      if (!this.#outer.has(number)) this.#add(number, user);
    }
  }

  /** Whether a limit, as `rlimitIn` returns it, is the mark of an inner host with servers of that user. */
  includes(limit: bigint, user: number): boolean {
    return this.#numbers.get(hostNumberIn(limit))?.has(user) === true;
  }

  #add(number: number, user: number): void {
    const users = this.#numbers.get(number) ?? new Set();
    if (users.has(user) || this.#size >= MOST) return;
    this.#numbers.set(number, users.add(user));
    this.#size += 1;
  }
}
