/** Largest number that is reported for one server. */
const MOST = 200;

/** Client capabilities that requests of one server needed, and that its definition does not declare. */
export class UndeclaredCapabilities {
  readonly #reported = new Set<string>();

  /** Those that were not reported yet; marks them as reported. */
  report(capabilities: readonly string[]): readonly string[] {
    // A client may declare anything: what is kept is bounded.
    if (this.#reported.size >= MOST) return [];
    const first = capabilities.filter((name) => !this.#reported.has(name));
    for (const name of first) this.#reported.add(name);
    return first;
  }

  /** The definition has changed: all are reported again. */
  clear(): void {
    this.#reported.clear();
  }
}
