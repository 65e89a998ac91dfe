/** Beside the page, whose path has the token. */
const address = (path) => new URL(path, import.meta.url);

/** News of the host, as long as the page is seen. */
export class Connection {
  #source;
  #latest = 0;
  #listeners;
  #onState;

  /**
   * @param listeners name of a message → function that gets its data
   * @param onState gets `live`, `lost` (it is tried again) or `refused` (it is not)
   */
  constructor(listeners, onState) {
    this.#listeners = listeners;
    this.#onState = onState;
    document.addEventListener('visibilitychange', () => this.#follow());
    this.#follow();
  }

  /** A page that nobody sees costs nothing, and takes none of the six connections that a browser makes to one host. */
  #follow() {
    if (document.hidden) {
      this.#source?.close();
      this.#source = undefined;
    } else if (this.#source === undefined) this.#open();
  }

  #open() {
    const source = new EventSource(address(`events?after=${this.#latest}`));
    this.#source = source;
    source.addEventListener('open', () => this.#onState('live'));
    source.addEventListener('error', () =>
      this.#onState(source.readyState === EventSource.CLOSED ? 'refused' : 'lost'),
    );
    for (const [name, listen] of Object.entries(this.#listeners)) {
      source.addEventListener(name, ({ data, lastEventId }) => {
        if (lastEventId !== '') this.#latest = Number(lastEventId);
        listen(JSON.parse(data));
      });
    }
  }
}

/** The graph of one server so far. Undefined when that is not known. */
export async function historyOf(server) {
  const response = await fetch(address(`history?server=${encodeURIComponent(server)}`));
  return response.ok ? response.json() : undefined;
}

/**
 * @returns what the host says
 * @throws Error with the reason of a refusal, in words
 */
export async function act(action, given) {
  const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(given) };
  const response = await fetch(address(`actions/${action}`), request).catch(() => {
    throw new Error('the host does not answer');
  });
  const result = await response.json().catch(() => ({ error: `the host has answered ${response.status}` }));
  if (!response.ok) throw new Error(result.error);
  return result;
}
