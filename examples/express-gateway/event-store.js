/**
 * What the streams of one session have sent: a client that has lost its connection asks for what came after the last event that
 * it has seen (`Last-Event-ID`). Bounded; the oldest events go first.
 */
export class EventStore {
  #events = [];
  #bytes = 0;
  #last = 0;
  /** The number of the newest event that is no longer there. */
  #forgotten = 0;
  #maxEvents;
  #maxBytes;

  constructor({ storedEvents, storedMB }) {
    this.#maxEvents = storedEvents;
    this.#maxBytes = storedMB * 1_048_576;
  }

  async storeEvent(streamId, message) {
    this.#last += 1;
    const bytes = JSON.stringify(message).length;
    this.#events.push({ number: this.#last, streamId, message, bytes });
    this.#bytes += bytes;
    while (this.#events.length > this.#maxEvents || this.#bytes > this.#maxBytes) this.#forget();
    return `${streamId}:${this.#last}`;
  }

  /** Undefined, so that the client is refused, when something it has not seen may be gone: better an error than a gap. */
  async getStreamIdForEventId(eventId) {
    const { streamId, number } = parse(eventId);
    return number >= this.#forgotten && number <= this.#last ? streamId : undefined;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const { streamId, number: seen } = parse(lastEventId);
    for (const { number, streamId: stream, message } of this.#events.slice()) {
      // The first event of a stream only has an id, no message.
      if (number > seen && stream === streamId && message.jsonrpc) await send(`${stream}:${number}`, message);
    }
    return streamId;
  }

  #forget() {
    const { number, bytes } = this.#events.shift();
    this.#forgotten = number;
    this.#bytes -= bytes;
  }
}

function parse(eventId) {
  const colon = eventId.lastIndexOf(':');
  return { streamId: eventId.slice(0, colon), number: Number(eventId.slice(colon + 1) || Number.NaN) };
}
