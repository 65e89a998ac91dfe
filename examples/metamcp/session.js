// @ts-check

/**
 * @typedef {import('./connect.js').ConnectedClient} ConnectedClient
 *
 * @typedef {object} Connection
 * @property {Promise<ConnectedClient> | undefined} opening
 * @property {ConnectedClient | undefined} client undefined until it is open
 */

/** A session of MetaMCP: one client, with a connection to each server that it has asked for. */
export class Session {
  /** @type {Map<string, Connection>} by server */
  #connections = new Map();
  #controller = new AbortController();
  #since = performance.now();

  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }

  /** Aborted when the session ends. */
  get signal() {
    return this.#controller.signal;
  }

  /** In ms. */
  get age() {
    return performance.now() - this.#since;
  }

  /** The connections that are open. @returns {[serverUuid: string, client: ConnectedClient][]} */
  get clients() {
    return [...this.#connections].flatMap(([uuid, { client }]) => (client ? [[uuid, client]] : []));
  }

  /**
   * The connection to a server. It is kept from when it begins to open: a client lists tools, prompts and resources at once,
   * and all three wait for one. When it fails or has closed, the next call opens another.
   * @param {string} serverUuid
   * @param {(closed: () => void) => Promise<ConnectedClient>} open
   * @returns {Promise<ConnectedClient>}
   */
  async connection(serverUuid, open) {
    const known = this.#connections.get(serverUuid);
    if (known?.opening) return known.opening;
    /** @type {Connection} */
    const connection = { opening: undefined, client: undefined };
    this.#connections.set(serverUuid, connection);
    const forget = () => {
      if (this.#connections.get(serverUuid) === connection) this.#connections.delete(serverUuid);
    };
    connection.opening = open(forget);
    try {
      connection.client = await connection.opening;
      return connection.client;
    } catch (error) {
      forget();
      throw error;
    }
  }

  end() {
    this.#controller.abort();
  }
}
