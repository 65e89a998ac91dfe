// The two ways to talk to the echo server that are compared: through a lease, and through SDK v1's own transport.
import { fileURLToPath } from 'node:url';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { MCPServerPool } from '../../dist/index.js';

export const echoServer = {
  command: process.execPath,
  args: [fileURLToPath(new URL('echo-server.js', import.meta.url))],
};

/** Our side alone, in a pool with these options. */
export async function openOurs(options = {}) {
  const pool = new MCPServerPool({ ...options, servers: { echo: echoServer } });
  const server = await pool.getServer('echo');
  const client = new RawClient(server.transport);
  await client.open();
  const close = async () => {
    server.release();
    await pool.shutdown();
  };
  return { pool, client, close };
}

/** Both sides, initialized and ready to be measured. */
export async function openBoth() {
  const { client: ours, close: closeOurs } = await openOurs();
  // By itself the SDK closes the connection at 10 MB.
  const theirs = new StdioClientTransport({ ...echoServer, maxBufferSize: 256 * 1_048_576 });
  const sdk = new RawClient(theirs);
  await sdk.open();
  const close = async () => {
    await closeOurs();
    await theirs.close();
  };
  return { ours, sdk, close };
}

/** The least that a client can be: JSON-RPC by hand on a transport. */
export class RawClient {
  #transport;
  #nextId = 1;
  /** Notifications that came. */
  received = 0;
  /** Called with each answer. */
  onAnswer = (_answer) => {};

  constructor(transport) {
    this.#transport = transport;
    transport.onmessage = (message) => {
      if (message.method === undefined) this.onAnswer(message);
      else this.received += 1;
    };
    transport.onerror = fail;
  }

  async open() {
    await this.#transport.start();
    await this.request('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'bench', version: '1.0.0' },
    });
    await this.#transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  /** Sends a request; the answer comes to `onAnswer`. Not awaited, as the clients of the SDK do. */
  send(method, params) {
    this.#transport.send({ jsonrpc: '2.0', id: this.#nextId++, method, params }).catch(fail);
  }

  /** Sends a request and returns its result. For one at a time. */
  request(method, params) {
    return new Promise((resolve) => {
      this.onAnswer = ({ result, error }) => (error ? fail(error) : resolve(result));
      this.send(method, params);
    });
  }

  /** Sends `count` requests, `window` of them under way at any time: each answer lets the next one go. */
  requests(count, window) {
    return new Promise((resolve) => {
      let sent = 0;
      let answered = 0;
      const next = () => this.send('echo', { n: ++sent });
      this.onAnswer = () => {
        if (sent < count) next();
        if (++answered === count) resolve();
      };
      while (sent < window) next();
    });
  }
}

/** A figure of a run in which anything went wrong is worth nothing. */
function fail(error) {
  console.error(error);
  process.exit(1);
}
