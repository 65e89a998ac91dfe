const MOST_CHARACTERS = 200;
const MODES = ['shutdown', 'restart', 'reclaim', 'emergency', 'level'];
const LEVELS = ['warning', 'critical', 'nuclear', 'emergency'];

/** A request that asks for something that does not exist, or at the wrong time. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** What a person can do to a pool by the page. Each returns what the page is told. */
export class Actions {
  #pool;
  /** Name → definition, with its `env`: it stays in this process. */
  #drained = new Map();
  /** Servers of which a restart or a drain is not over. */
  #busy = new Set();

  constructor(pool) {
    this.#pool = pool;
  }

  /** Names of the servers that were drained and not resumed. */
  get drained() {
    // The host may have added one again.
    for (const name of this.#drained.keys()) if (this.#pool.hasServer(name)) this.#drained.delete(name);
    return [...this.#drained.keys()];
  }

  /** @param action name of one of those below. */
  async run(action, given) {
    if (!Object.hasOwn(this.#all, action)) throw new Refused(404, 'there is no such action');
    return this.#all[action](given);
  }

  #all = {
    /**
     * Replaces its processes. `timeout`: ms, after which leases that cannot move are taken back; null: never. `cascade`: those of
     * the servers that depend on it, too.
     */
    restart: async ({ name, timeout, cascade = false }) => {
      this.#assertServer(name);
      const options = drainOptions(timeout);
      return this.#once(name, async () => {
        const ran = this.#pool.status().servers[name].instances.length > 0;
        await this.#pool.restart(name, { ...options, cascade: cascade === true });
        if (ran) await this.#pool.warm(name);
        return { message: `${name} was restarted` };
      });
    },

    /** Gives no new leases on it, and ends its processes as their leases end; until `resume`. */
    drain: async ({ name, timeout }) => {
      this.#assertServer(name);
      const options = drainOptions(timeout);
      return this.#once(name, async () => {
        const definition = this.#pool.getDefinition(name);
        const ended = this.#pool.removeServer(name, options);
        // It is removed at once, unless that is refused.
        if (!this.#pool.hasServer(name)) this.#drained.set(name, definition);
        await ended;
        return { message: `${name} is drained: none of its processes is left` };
      });
    },

    /** Puts a drained server back. */
    resume: async ({ name }) => {
      const definition = this.#drained.get(name);
      if (definition === undefined) throw new Refused(404, 'no drained server has this name');
      this.#pool.addServer(name, definition);
      this.#drained.delete(name);
      return { message: `${name} serves again: the next caller starts it` };
    },

    /** `by`: who works on it. */
    acknowledge: async ({ id, by }) => {
      if (!this.#pool.alerts.acknowledge(text(id, 'id'), text(by, 'by')))
        throw new Refused(404, 'this alert is over, or was acknowledged before');
      return { message: 'the alert is acknowledged' };
    },

    /** A dry run: what would end, why and how. `name`: only of this server. */
    plan: async ({ mode, level, name }) => {
      if (!MODES.includes(mode)) throw new Refused(400, `mode must be one of ${MODES.join(', ')}`);
      if (mode === 'level' && !LEVELS.includes(level))
        throw new Refused(400, `level must be one of ${LEVELS.join(', ')}`);
      const { ends, rejected } = this.#pool.plan(mode, mode === 'level' ? { level } : {});
      const meant = ends.filter((end) => name === undefined || end.name === name);
      return { mode, rejected, ends: meant.map(plannedEnd) };
    },
  };

  #assertServer(name) {
    if (!this.#pool.hasServer(text(name, 'name'))) throw new Refused(404, 'no server has this name');
  }

  async #once(name, run) {
    if (this.#busy.has(name)) throw new Refused(409, `a restart or drain of ${name} is not over`);
    this.#busy.add(name);
    try {
      return await run();
    } finally {
      this.#busy.delete(name);
    }
  }
}

function plannedEnd({ name, pid, state, reason, wave, drain, leases, steps }) {
  return {
    ...{ name, pid, state, reason, wave, drain, leases: leases.length },
    steps: steps.map(({ step, grace }) => ({ step, grace })),
  };
}

function drainOptions(timeout) {
  if (timeout === undefined || timeout === null) return {};
  if (!Number.isSafeInteger(timeout) || timeout < 0 || timeout > 86_400_000)
    throw new Refused(400, 'timeout must be a whole number of ms, at most a day, or null');
  return { timeout };
}

function text(value, what) {
  if (typeof value === 'string' && value !== '' && value.length <= MOST_CHARACTERS) return value;
  throw new Refused(400, `${what} must be a string of 1 to ${MOST_CHARACTERS} characters`);
}
