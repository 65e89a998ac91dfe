import { chmodSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { errnoOf } from '../../errors.js';

/**
 * The socket of one participant of a lane: whoever is connected to it learns of the end of the participant from the
 * kernel, whatever ends it. It serves one ticket. A participant that gives up its ticket and takes another one needs a
 * new socket: what is connected to this one would wait for both.
 */
export class LaneSocket {
  readonly #server: Server;
  readonly #peers = new Set<Socket>();
  #isClosed = false;
  /** Resolves with the reason when it does not listen. */
  readonly failure: Promise<Error>;

  /** Listens at once, unless {@link isListening} says otherwise. */
  constructor(path: string) {
    this.#server = createServer((peer) => this.#accept(peer));
    this.failure = new Promise((resolve) => this.#server.on('error', resolve));
    // `exclusive`: in a worker of `node:cluster` the socket would be one of the primary, and outlive the worker.
    this.#server.listen({ path, exclusive: true });
    this.#server.unref();
    if (!this.isListening) return;
    try {
      // By its umask: other users cannot reach it in any case, since the folder is private.
      chmodSync(path, 0o600);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get isListening(): boolean {
    return this.#server.listening;
  }

  /** Tells all that are connected that something has changed before them. */
  tell(): void {
    for (const peer of this.#peers) peer.write('\n');
  }

  /** From now on no other one waits for it. */
  close(): void {
    this.#isClosed = true;
    if (this.isListening) this.#server.close();
    for (const peer of this.#peers) peer.destroy();
  }

  #accept(peer: Socket): void {
    // The kernel had it in its queue when the server was closed, and Node has taken it out before.
    if (this.#isClosed) return void peer.destroy();
    this.#peers.add(peer);
    peer.unref();
    peer.on('error', () => {});
    peer.on('close', () => this.#peers.delete(peer));
    // So that its end is seen.
    peer.resume();
  }
}

/**
 * What became of the attempt to wait for a participant. `dead`: it has no listener any more. `gone`: it has left, its ticket is
 * not there. `busy`: it cannot be said now, try again.
 */
export type Link = { readonly closed: Promise<void>; close(): void } | 'dead' | 'gone' | 'busy';

/** It has no room for another connection now, or this process or the machine has none. */
const BUSY = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ECONNRESET', 'EPIPE'];

/**
 * Connects to the socket of another participant.
 * @param onNews called when something has changed before that participant
 * @throws with the errno when that is not allowed
 */
export function linkTo(path: string, onNews: () => void): Promise<Link> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    let failure: unknown;
    socket.on('error', (error) => {
      failure = error;
    });
    const closed = new Promise<void>((onClosed) => {
      socket.once('close', () => {
        onClosed();
        const errno = errnoOf(failure);
        // ECONNREFUSED is the kernel's word: of a participant that is only stopped, the kernel takes connections.
        if (errno === 'ECONNREFUSED') resolve('dead');
        else if (errno === 'ENOENT') resolve('gone');
        else if (failure === undefined || (errno !== undefined && BUSY.includes(errno))) resolve('busy');
        else reject(failure);
      });
    });
    socket.on('data', onNews);
    socket.once('connect', () => resolve({ closed, close: () => socket.destroy() }));
    socket.unref();
  });
}
