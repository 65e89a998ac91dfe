// @ts-check
// The pool of MetaMCP's backend (`apps/backend/src/lib/metamcp/mcp-server-pool.ts`) on mcp-server-pool: the same methods with
// the same arguments and results, so that no caller changes. docs/moving.md says what differs, and what each option replaces.
import { connect } from './connect.js';
import { definitionOf, isStdio } from './definition.js';
import { DEFAULTS } from './options.js';
import { Session } from './session.js';

/**
 * @typedef {import('./definition.js').ServerParameters} ServerParameters
 * @typedef {import('./connect.js').ConnectedClient} ConnectedClient
 * @typedef {import('./options.js').McpServerPoolOptions} McpServerPoolOptions
 *
 * @typedef {object} McpServerPoolStatus
 * @property {number} idle processes that wait for a session
 * @property {number} active connections of sessions
 * @property {string[]} activeSessionIds
 * @property {string[]} idleServerUuids
 */

const LIFETIME_CHECK = 300_000;

export class McpServerPool {
  /** @type {McpServerPool | undefined} */
  static #instance;
  /** @type {Required<McpServerPoolOptions>} */
  #options;
  /** Made by the first call that needs it, so that `cleanupAll()` is not the end of this object. @type {import('mcp-server-pool').MCPServerPool | undefined} */
  #pool;
  /** @type {Map<string, Session>} */
  #sessions = new Map();
  /** Settles when all that cleanupAll() has ended so far is dead. @type {Promise<unknown>} */
  #ending = Promise.resolve();
  /** MetaMCP's rate limit reads and writes this. @type {Map<string, Map<string, string>>} */
  #namespaces = new Map();
  /** @type {NodeJS.Timeout | undefined} */
  #lifetimeTimer;

  static getInstance(defaultIdleCount = 1) {
    McpServerPool.#instance ??= new McpServerPool({ defaultIdleCount });
    return McpServerPool.#instance;
  }

  /** @param {McpServerPoolOptions} [options] */
  constructor(options = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /**
   * The connection of a session to a server; the same one for all calls of the session. Undefined when there is none: the log
   * says why, and the next call tries again.
   * @param {string} sessionId
   * @param {string} serverUuid
   * @param {ServerParameters} params
   * @param {string} [namespaceUuid]
   * @returns {Promise<ConnectedClient | undefined>}
   */
  async getSession(sessionId, serverUuid, params, namespaceUuid) {
    const session = this.#sessionOf(sessionId);
    if (namespaceUuid !== undefined) this.#markNamespace(namespaceUuid);
    try {
      return await session.connection(serverUuid, (closed) => this.#connect(session, serverUuid, params, closed));
    } catch (error) {
      if (!session.signal.aborted) this.#options.log.warn(`No connection to ${params.name}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /**
   * Ends a session. Does not wait until its processes are dead: a server that ignores everything is killed after its graces,
   * and keeps its slot until that is proven.
   * @param {string} sessionId
   * @returns {Promise<void>}
   */
  async cleanupSession(sessionId) {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return;
    this.#sessions.delete(sessionId);
    session.end();
    // Ends its leases, also those that are not connected yet. The pool starts new spares by itself (`minIdle`).
    this.#pool?.releaseOwner(sessionId);
    for (const [uuid, client] of session.clients)
      client.cleanup().catch((error) => this.#options.log.warn(`Connection to ${uuid}: ${messageOf(error)}`));
  }

  /**
   * Ends all sessions, spares and processes, and resolves when they are dead. A later call of `getSession()` begins anew.
   * @returns {Promise<void>}
   */
  async cleanupAll() {
    clearInterval(this.#lifetimeTimer);
    this.#lifetimeTimer = undefined;
    // All at once: a call that comes from now on gets another pool, not the one that ends.
    for (const sessionId of this.#sessions.keys()) void this.cleanupSession(sessionId);
    const pool = this.#pool;
    this.#pool = undefined;
    // A host may call it by two signals, and exits after the first that resolves: each waits for all.
    const before = this.#ending;
    const own = pool && this.#shutDown(pool);
    this.#ending = (async () => {
      await before;
      await own;
    })();
    await this.#ending;
  }

  /** @returns {McpServerPoolStatus} */
  getPoolStatus() {
    const servers = Object.entries(this.#pool?.status().servers ?? {});
    return {
      idle: servers.reduce((sum, [, { idle }]) => sum + idle, 0),
      active: [...this.#sessions.values()].reduce((sum, { clients }) => sum + clients.length, 0),
      activeSessionIds: [...this.#sessions.keys()],
      idleServerUuids: servers.filter(([, { idle }]) => idle > 0).map(([uuid]) => uuid),
    };
  }

  /**
   * To be called when the parameters of a server have changed: its spares are replaced, also one that is starting. Sessions
   * keep the process that they have. Resolves when a new spare is ready, or cannot be started.
   * @param {string} serverUuid
   * @param {ServerParameters} params
   * @param {string} [namespaceUuid]
   * @returns {Promise<void>}
   */
  async invalidateIdleSession(serverUuid, params, namespaceUuid) {
    if (!isStdio(params)) return;
    const { defaultIdleCount, log } = this.#options;
    try {
      this.#define(serverUuid, params);
      if (defaultIdleCount > 0) await this.#open().warm(serverUuid, { count: defaultIdleCount });
      if (namespaceUuid !== undefined) this.#markNamespace(namespaceUuid);
    } catch (error) {
      // One server that is wrong does not keep the others from their spares.
      log.warn(`No spare process of ${params.name}: ${messageOf(error)}`);
    }
  }

  /**
   * @param {Record<string, ServerParameters>} serverParams
   * @param {string} [namespaceUuid]
   * @returns {Promise<void>}
   */
  async invalidateIdleSessions(serverParams, namespaceUuid) {
    const entries = Object.entries(serverParams);
    await Promise.all(entries.map(([uuid, params]) => this.invalidateIdleSession(uuid, params, namespaceUuid)));
  }

  /**
   * At the start of the host. The pool starts at most `limits.concurrentStarts` at once, two for each core.
   * @param {Record<string, ServerParameters>} serverParams
   * @param {string} [namespaceUuid]
   */
  ensureIdleSessions(serverParams, namespaceUuid) {
    return this.invalidateIdleSessions(serverParams, namespaceUuid);
  }

  /**
   * @param {string} serverUuid
   * @param {ServerParameters} params
   * @param {string} [namespaceUuid]
   */
  ensureIdleSessionForNewServer(serverUuid, params, namespaceUuid) {
    return this.invalidateIdleSession(serverUuid, params, namespaceUuid);
  }

  /**
   * A server was deleted: its spares end now, the processes of sessions when these end.
   * @param {string} serverUuid
   * @returns {Promise<void>}
   */
  async cleanupIdleSession(serverUuid) {
    const pool = this.#pool;
    if (!pool?.hasServer(serverUuid)) return;
    // It resolves when the last session has left the server, which may be in hours.
    pool.removeServer(serverUuid).catch((error) => this.#options.log.warn(messageOf(error)));
  }

  /**
   * Whether it has failed so often that the pool does not start it for now (`restart.cooldown`, 30 s).
   * @param {string} serverUuid
   */
  async isServerInErrorState(serverUuid) {
    return this.#pool?.status().servers[serverUuid]?.breakers.some(({ state }) => state === 'open') ?? false;
  }

  /**
   * @param {string} serverUuid
   * @returns {Promise<void>}
   */
  async resetServerErrorState(serverUuid) {
    if (this.#pool?.hasServer(serverUuid)) this.#pool.resetBreaker(serverUuid, { allTenants: true });
  }

  /**
   * @param {string} sessionId
   * @returns {Record<string, ConnectedClient> | undefined}
   */
  getSessionConnections(sessionId) {
    const session = this.#sessions.get(sessionId);
    return session && Object.fromEntries(session.clients);
  }

  getActiveSessionIds() {
    return [...this.#sessions.keys()];
  }

  /**
   * @param {string} sessionId
   * @returns {number | undefined} in ms
   */
  getSessionAge(sessionId) {
    return this.#sessions.get(sessionId)?.age;
  }

  /** @param {string} sessionId */
  async isSessionExpired(sessionId) {
    const lifetime = await this.#options.getSessionLifetime();
    return lifetime !== null && (this.getSessionAge(sessionId) ?? 0) > lifetime;
  }

  getBackgroundIdleSessionsByNamespace() {
    return this.#namespaces;
  }

  /**
   * @param {Session} session
   * @param {string} serverUuid
   * @param {ServerParameters} params
   * @param {() => void} closed
   */
  async #connect(session, serverUuid, params, closed) {
    if (!isStdio(params)) return connect(params, session.signal, closed);
    // The parameters of the latest call count, as in MetaMCP. Equal ones change nothing.
    this.#define(serverUuid, params);
    const lease = await this.#open().getServer(serverUuid, { owner: session.id, signal: session.signal });
    return connect(lease, session.signal, closed);
  }

  /**
   * @param {string} serverUuid
   * @param {ServerParameters} params
   */
  #define(serverUuid, params) {
    const { defaultIdleCount, policyOf } = this.#options;
    this.#open().setServer(serverUuid, { ...definitionOf(params), minIdle: defaultIdleCount, ...policyOf(params) });
  }

  #open() {
    this.#pool ??= this.#makePool();
    return this.#pool;
  }

  #makePool() {
    const { log, makePool, maxTotalConnections, onServerCrash, onStderr } = this.#options;
    const pool = makePool({ limits: { maxProcesses: maxTotalConnections }, acquireTimeout: 60_000 });
    const labelOf = (/** @type {string} */ uuid) => pool.status().servers[uuid]?.label ?? uuid;
    pool.on('server:exited', ({ name, exitCode, signal, unexpected }) => {
      if (!unexpected) return;
      log.warn(`${labelOf(name)} exited: ${exitCode ?? signal}`);
      onServerCrash(name, exitCode, signal);
    });
    // Of a spare: other failures go to the callers.
    pool.on('server:failed', ({ callers, error }) => callers.length === 0 && log.warn(error.message));
    pool.on('server:stderr', ({ name, line }) => onStderr(labelOf(name), line));
    return pool;
  }

  /** @param {string} sessionId */
  #sessionOf(sessionId) {
    let session = this.#sessions.get(sessionId);
    if (session === undefined) {
      session = new Session(sessionId);
      this.#sessions.set(sessionId, session);
      this.#lifetimeTimer ??= setInterval(() => void this.#endExpired(), LIFETIME_CHECK).unref();
    }
    return session;
  }

  /** @param {import('mcp-server-pool').MCPServerPool} pool */
  async #shutDown(pool) {
    const { survivors } = await pool.shutdown();
    for (const { name, pid } of survivors) this.#options.log.error(`Process ${pid} of ${name} lives on`);
  }

  async #endExpired() {
    try {
      for (const sessionId of [...this.#sessions.keys()])
        if (await this.isSessionExpired(sessionId)) await this.cleanupSession(sessionId);
    } catch (error) {
      // The host reads the lifetime from its database. Nobody waits for this: a rejection would end the process.
      this.#options.log.warn(`The lifetime of sessions is not known: ${messageOf(error)}`);
    }
  }

  /** @param {string} namespaceUuid */
  #markNamespace(namespaceUuid) {
    if (!this.#namespaces.has(namespaceUuid)) this.#namespaces.set(namespaceUuid, new Map([['status', 'created']]));
  }
}

/** @param {unknown} error */
const messageOf = (error) => (error instanceof Error ? error.message : String(error));
