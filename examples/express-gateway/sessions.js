import { Refusal } from './refusal.js';
import { Session } from './session.js';

/** All sessions of the gateway, and what one user may have of them. */
export class Sessions {
  #all = new Map();
  #pool;
  #limits;
  #sweep;

  constructor({ pool, limits }) {
    this.#pool = pool;
    this.#limits = limits;
    // Most clients leave without a word: they close their connection and never send the DELETE that ends a session.
    this.#sweep = setInterval(() => this.#endLeft(), Math.max(100, limits.sessionIdleTimeout / 10)).unref();
  }

  get size() {
    return this.#all.size;
  }

  /** Begins a session. Rejects with a `Refusal` when the user has too many, or with the `PoolError` when there is no server. */
  async open({ user, server, signal }) {
    this.#makeRoom(user);
    const session = new Session({
      pool: this.#pool,
      user,
      server,
      limits: this.#limits,
      onEnd: ({ id }) => this.#all.delete(id),
    });
    // It counts from now on: starts that are under way are sessions, too.
    this.#all.set(session.id, session);
    await session.start(signal);
    return session;
  }

  /** The session of that id, if it belongs to this user: the id alone opens no door. */
  find(id, { user, server }) {
    const session = this.#all.get(id);
    return session?.user === user && session.server === server ? session : undefined;
  }

  /** Refuses more requests than one user may have at once. */
  checkRequests(user, asked) {
    const open = this.#of(user).reduce((sum, session) => sum + session.openRequests, 0);
    const { requestsPerUser } = this.#limits;
    if (open + asked > requestsPerUser) throw new Refusal(429, `more than ${requestsPerUser} requests at once`);
  }

  async close() {
    clearInterval(this.#sweep);
    await Promise.all([...this.#all.values()].map((session) => session.end()));
  }

  #of(user) {
    return [...this.#all.values()].filter((session) => session.user === user);
  }

  /** A user with all sessions that it may have loses the one that it left first; when it uses all of them, it is refused. */
  #makeRoom(user) {
    const own = this.#of(user);
    if (own.length < this.#limits.sessionsPerUser) return;
    const left = own.filter((session) => session.isResting).sort((a, b) => a.lastUsed - b.lastUsed)[0];
    if (!left) throw new Refusal(429, `more than ${this.#limits.sessionsPerUser} sessions at once`);
    void left.end();
  }

  /** Also one whose server still works: it may never answer, and whoever wants the answer would have come back. */
  #endLeft() {
    const before = performance.now() - this.#limits.sessionIdleTimeout;
    for (const session of this.#all.values()) if (session.isLeft && session.lastUsed < before) void session.end();
  }
}
