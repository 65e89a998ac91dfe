/** More at once are refused: each costs memory and CPU of the host. */
const MOST = 20;
/** What may wait to be written to one of them, bytes. A page that is slower is cut off; it connects again, and gets all anew. */
const MOST_UNREAD = 4_194_304;
/** Time until a browser connects again after the connection was lost, ms. */
const RETRY = 2_000;

/** The pages that listen, by server-sent events. */
export class Viewers {
  #open = new Set();

  get size() {
    return this.#open.size;
  }

  /** Whether there is room for one more. */
  get hasRoom() {
    return this.#open.size < MOST;
  }

  /** Turns a response into a stream of events. Returns it. */
  open(response) {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: ${RETRY}\n\n`);
    this.#open.add(response);
    // Also emitted when the page is closed.
    response.once('close', () => this.#open.delete(response));
    // What is written to a page that has just gone.
    response.on('error', () => {});
    return response;
  }

  /** Sends to all of them. */
  send(event, data, id) {
    if (this.#open.size === 0) return;
    const text = message(event, data, id);
    for (const response of this.#open) write(response, text);
  }

  /** Sends to one. */
  sendTo(response, event, data, id) {
    write(response, message(event, data, id));
  }

  close() {
    for (const response of this.#open) response.end();
  }
}

function write(response, text) {
  if (response.writableLength > MOST_UNREAD) response.destroy();
  else response.write(text);
}

/** JSON has no line ends outside of strings, and writes those in strings as `\n`: it is one line. */
function message(event, data, id) {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
