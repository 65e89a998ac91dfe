import { hostMark, hostNumberIn, hostsAround, type Mark, outerHosts } from './marker.js';

/** A server in which more hosts than these come and go is not a gateway in a gateway; the first are remembered. */
const MOST = 256;

/**
 * The hosts that run inside of the servers which bear a mark, as they are met: a pool in a pooled server. Its own servers
 * bear its limit in place of ours, so whatever they start with an emptied environment says nothing of us any more. But as
 * long as one of them shows its environment, we read there, to the right of our mark, whose limits are ours as well.
 *
 * Anybody can write a mark into a variable, so what is learnt this way is believed less than our own mark:
 * - Hosts to the left, outside of us, are never learnt, nor is this host itself: a server that writes a neighbour's mark
 *   after its own ends neither that neighbour nor those who pool us. Numbers count, not texts, since a limit has no more.
 * - It says something only of those whose environment names nobody. What a server of a foreign host shows there names that
 *   host, and not us: so it is not ours, whatever we were told.
 * - It says nothing of others in the same group or session.
 * - As all marks it holds only for what was started after our leader, in a session that began after it, too.
 * What remains: a server may direct us to descendants of a foreign host's servers that have emptied their environment. It
 * could have killed those by itself, being of the same user; one that is not (a server under a user of its own, a host that
 * is root) gains that much.
 */
export class InnerHosts {
  readonly #mark: Mark;
  readonly #numbers = new Set<number>();
  /** Of this host, and of those around it. */
  readonly #outer: Set<number>;

  constructor(mark: Mark) {
    this.#mark = mark;
    this.#outer = new Set([mark.host, hostMark(), ...outerHosts()].map(({ number }) => number));
  }

  get size(): number {
    return this.#numbers.size;
  }

  /** Learns from the marks in the environment of somebody who bears ours. */
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

  /** Whether a limit, as `rlimitIn` found it, is the marker of one of them. */
  bears(limit: bigint): boolean {
    return this.#numbers.has(hostNumberIn(limit));
  }
}
