import { hostMark, hostNumberIn, hostsAround, type Mark, outerHosts } from './marker.js';

/** How many inner hosts of one server are remembered, the first ones. A pool inside a pooled server has only a few. */
const MOST = 256;

/**
 * The hosts that run inside the servers with a given mark: pools in pooled servers. The servers of such an inner pool
 * have its limit instead of ours, so a helper of theirs that has emptied its environment has no mark of ours at all.
 * But as long as one of these servers shows its environment, the marks to the right of ours name the inner hosts, and
 * so their limits.
 *
 * Any process can write a mark into its environment. So what is learnt this way counts less than our own mark:
 * - Hosts to the left of our mark (outside of us) and this host itself are never learnt: a server that adds the mark of
 *   another host to its own ends neither that host nor the pools around us. Hosts are compared by number, because a
 *   limit has no more.
 * - It applies only to processes without any mark in their environment. A server of a foreign host names that host
 *   there.
 * - It says nothing about other processes in the same group or session.
 * - Like every mark it applies only to processes started after our leader, in sessions that began after it. What
 *   remains: a server can direct us to helpers of a foreign host's servers that have emptied their environment. A
 *   server of the same user could kill them itself; a server of another user, or of a host that is root, gains that
 *   possibility.
 */
export class InnerHosts {
  readonly #mark: Mark;
  readonly #numbers = new Set<number>();
  /** The numbers of this host and of the hosts around it. */
  readonly #outer: Set<number>;

  constructor(mark: Mark) {
    this.#mark = mark;
    this.#outer = new Set([mark.host, hostMark(), ...outerHosts()].map(({ number }) => number));
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** Learns from the marks in the environment of a process that has our mark. */
  learn(marks: readonly string[]): void {
    const { outer, inner } = hostsAround(marks, this.#mark);
    for (const { number } of outer) {
      this.#outer.add(number);
      this.#numbers.delete(number);
    }
    for (const { number } of inner) {
      if (!this.#outer.has(number) && this.#numbers.size < MOST) this.#numbers.add(number);
    }
  }

  /** Whether a limit, as `rlimitIn` returns it, is the mark of an inner host. */
  includes(limit: bigint): boolean {
    return this.#numbers.has(hostNumberIn(limit));
  }
}
