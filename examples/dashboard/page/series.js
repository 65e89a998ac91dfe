/** Points that are kept, as in the host. */
const KEPT = 600;
const FIELDS = ['at', 'memoryMB', 'cpuPercent', 'processes', 'leases', 'waiting'];

/** The figures behind the graphs. Their number does not grow. */
export class Series {
  #values = Object.fromEntries(FIELDS.map((field) => [field, []]));

  /** Takes all points of the host in place of its own. */
  replace(history) {
    for (const field of FIELDS) this.#values[field] = history[field].slice(-KEPT);
  }

  clear() {
    for (const field of FIELDS) this.#values[field] = [];
  }

  add(point) {
    const { at } = this.#values;
    // After a new connection the last picture may come a second time.
    if (at.length > 0 && point.at <= at.at(-1)) return;
    for (const field of FIELDS) {
      const values = this.#values[field];
      values.push(point[field] ?? null);
      if (values.length > KEPT) values.shift();
    }
  }

  of(field) {
    return this.#values[field];
  }
}
