/** Points that are kept: ten minutes, at one a second. */
const KEPT = 600;
const FIELDS = ['at', 'memoryMB', 'cpuPercent', 'processes', 'leases', 'waiting'];

/** The graphs of a pool and of its servers over the last ten minutes: a page that is opened now shows them from the start. */
export class History {
  #pool = new Series();
  #servers = new Map();

  /** @param snapshot of `snapshotOf()` */
  add({ at, totals, servers }) {
    this.#pool.add({ at, ...totals });
    const names = new Set(servers.map(({ name }) => name));
    for (const name of this.#servers.keys()) if (!names.has(name)) this.#servers.delete(name);
    for (const server of servers) this.#ofServer(server.name).add({ at, ...server.totals });
  }

  #ofServer(name) {
    const found = this.#servers.get(name) ?? new Series();
    this.#servers.set(name, found);
    return found;
  }

  /** Of a server; without a name of the pool. Undefined for a server that is not known. */
  of(name) {
    return name === undefined ? this.#pool : this.#servers.get(name);
  }
}

/** The last figures of each field. Its memory does not grow. */
class Series {
  #values = new Map(FIELDS.map((field) => [field, new Float64Array(KEPT)]));
  #next = 0;
  #size = 0;

  /** What is undefined is a gap. */
  add(point) {
    for (const [field, values] of this.#values) values[this.#next] = point[field] ?? Number.NaN;
    this.#next = (this.#next + 1) % KEPT;
    this.#size = Math.min(this.#size + 1, KEPT);
  }

  /** Field → values, the oldest first; null for a gap. */
  toJSON() {
    return Object.fromEntries([...this.#values].map(([field, values]) => [field, this.#inOrder(values)]));
  }

  #inOrder(values) {
    const first = this.#size < KEPT ? 0 : this.#next;
    return Array.from({ length: this.#size }, (_, index) => {
      const value = values[(first + index) % KEPT];
      return Number.isNaN(value) ? null : value;
    });
  }
}
