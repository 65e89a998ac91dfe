/**
 * What the streams of one session have sent: a client that has lost its connection asks for what came after the last event that
 * it has seen (`Last-Event-ID`). Bounded; the oldest events go first.
 */
export class EventStore {
  #events = [];
  #bytes = 0;
  #total = 0;
  #last = 0;
  /** The newest event that is no longer there, without its message: who has seen it misses nothing. */
  #forgotten = [];
  #maxEvents;
  #maxBytes;

  constructor({ storedEvents, storedMB }) {
    this.#maxEvents = storedEvents;
    this.#maxBytes = storedMB * 1_048_576;
  }

  async storeEvent(streamId, message) {
    this.#last += 1;
    const bytes = JSON.stringify(message).length;
    const event = { id: `${streamId}:${this.#last}`, number: this.#last, streamId, message, bytes };
    this.#events.push(event);
    this.#bytes += bytes;
    this.#total += bytes;
    while (this.#events.length > this.#maxEvents || this.#bytes > this.#maxBytes) this.#forget();
    return event.id;
  }

  /** What it has stored in all, in bytes. */
  get total() {
    return this.#total;
  }

  /**
   * Undefined, so that the client is refused, when something it has not seen may be gone: better an error than a gap. So is an
   * id that this session has not given: the stream of a forged one would stay open for nothing.
   */
  async getStreamIdForEventId(eventId) {
    return [...this.#forgotten, ...this.#events].find(({ id }) => id === eventId)?.streamId;
  }

  async replayEventsAfter(lastEventId, { send }) {
    const { streamId, number: seen } = parse(lastEventId);
    for (const { id, number, streamId: stream, message } of this.#events.slice()) {
      // The first event of a stream only has an id, no message.
      if (number > seen && stream === streamId && message.jsonrpc) await send(id, message);
    }
    return streamId;
  }

  #forget() {
    const { id, streamId, bytes } = this.#events.shift();
    this.#forgotten = [{ id, streamId }];
    this.#bytes -= bytes;
  }
}

function parse(eventId) {
  const colon = eventId.lastIndexOf(':');
  return { streamId: eventId.slice(0, colon), number: Number(eventId.slice(colon + 1) || Number.NaN) };
}
